#pragma once
// How ranks are started.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace limewash::launcher {

/// mpirun with the options that limewash's ranks need; the program and its arguments follow. What
/// each rank prints is also kept in `logs`, unless that is empty.
std::vector<std::string> mpirun_command(int64_t ranks, const std::filesystem::path& logs = {});

/// What mpirun needs in its environment.
std::vector<std::string> mpirun_environment();

}  // namespace limewash::launcher
