#pragma once
// Finding a network inside a diffusers folder.

#include <filesystem>
#include <string>

namespace limewash::models {

/// `model`/`part` when it has a config.json, else `model` itself when that is the folder of one
/// network. Throws InputError naming both.
std::filesystem::path folder_of_part(const std::filesystem::path& model, const std::string& part);

}  // namespace limewash::models
