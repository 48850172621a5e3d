#pragma once
// Several prepared datasets become one.

#include <cstdint>
#include <filesystem>
#include <vector>

namespace limewash::data {

struct MergeReport {
  int64_t samples = 0, shards = 0, rejections = 0;
  bool stopped = false;  ///< by a stop request; the same call goes on where it was
};

/// Make the dataset `out` of all samples of `folders`, in that order; every sample is read and its
/// checksum verified. Each sample stays on its side. Equal input gives equal bytes; an interrupted
/// merge goes on after its last shard. InputError when a dataset is unfinished, damaged or was
/// prepared with other options than the first (naming them), and when two share an id (naming it),
/// unless `prefix_ids` puts the folder's name and '/' before every id: then the names must differ.
MergeReport merge_datasets(const std::vector<std::filesystem::path>& folders,
                           const std::filesystem::path& out,
                           bool prefix_ids);

}  // namespace limewash::data
