#pragma once
// How ranks are started.

#include <cstdint>
#include <string>
#include <vector>

namespace limewash::launcher {

/// mpirun with the options that limewash's ranks need; the program and its arguments follow.
std::vector<std::string> mpirun_command(int64_t ranks);

/// What mpirun needs in its environment.
std::vector<std::string> mpirun_environment();

}  // namespace limewash::launcher
