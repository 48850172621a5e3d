#pragma once
// How ranks are started.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace limewash::launcher {

struct MpirunOptions {
  /// Each rank's texts go into this folder, unless its name has a colon, and onto the terminal.
  std::filesystem::path logs = {};
  std::string hosts = {};  ///< "node1:4,node2:4"; empty: those of the Slurm job, or this one
  /// none | core | numa: each rank kept to `cores` of its own, to a part of the host that shares
  /// its memory, or to nothing
  std::string binding = "none";
  int64_t cores = 1;
};

/// mpirun with this many ranks, up to the program that is to follow.
std::vector<std::string> mpirun_command(int64_t ranks, const MpirunOptions& options = {});

/// What mpirun wants in its environment here.
std::vector<std::string> mpirun_environment();

}  // namespace limewash::launcher
