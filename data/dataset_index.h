#pragma once
// DIR/index.json: which shards make the dataset, with which configuration they were prepared, and
// how far a prepare that was interrupted had come.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/shard.h"

namespace limewash::data {

/// A photo that did not become a sample.
struct Rejection {
  std::string photo;   ///< relative path
  std::string reason;  ///< one of a few, to be counted
  std::string detail;  ///< what exactly, for a person
};

struct ShardEntry {
  std::string file;  ///< shard-00000.h5
  ShardSummary summary;
};

struct DatasetIndex {
  bool complete = false;
  std::string configuration;  ///< JSON object: everything of `prepare` that shapes the bytes
  std::string photos_hash;    ///< of the sorted list of photos and masks with their sizes
  int64_t photos = 0;         ///< found
  int64_t photos_done = 0;    ///< of the sorted list, those that the shards and rejections cover
  std::vector<ShardEntry> shards;
  std::vector<Rejection> rejections;

  int64_t samples() const;
  /// Hex over the fingerprints of all shards.
  std::string fingerprint() const;
};

/// `shard-00000.h5`
std::string shard_file_name(size_t number);

/// Nothing when the folder has no index.json; InputError naming the file and the key when it is
/// damaged, of another version or hostile.
std::optional<DatasetIndex> read_index(const std::filesystem::path& folder);

/// Replace DIR/index.json.
void write_index(const std::filesystem::path& folder, const DatasetIndex& index);

}  // namespace limewash::data
