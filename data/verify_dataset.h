#pragma once
// Reading everything once, to find what a disk or a copy damaged.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset_index.h"

namespace limewash::data {

struct Verification {
  int64_t samples = 0;                ///< that are good
  std::vector<std::string> problems;  ///< each names its shard and, where it is one, its sample
  bool stopped = false;               ///< by a stop request: not everything was read
};

/// Read every sample of every shard with `threads` threads and verify its checksum, then the
/// checksum of the whole file; goes on after each problem. An id that two samples share is a
/// problem, too.
Verification verify_dataset(const std::filesystem::path& folder,
                            const DatasetIndex& index,
                            int threads);

}  // namespace limewash::data
