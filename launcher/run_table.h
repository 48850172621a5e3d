#pragma once
// What a run came to, as a table for a person.

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace limewash::launcher {

/// Evaluations beside controls and floor, speed, and where grid and report are.
std::string run_table(const std::filesystem::path& run_folder, const nlohmann::json& summary);

}  // namespace limewash::launcher
