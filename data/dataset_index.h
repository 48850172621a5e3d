#pragma once
// DIR/index.json: which shards make the dataset, with which configuration they were prepared, and
// how far a prepare that was interrupted had come.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/shard.h"

namespace limewash::data {

/// A photo that did not become a sample.
struct Rejection {
  std::string photo;    ///< relative path, as valid UTF-8
  std::string reason;   ///< one of a few, to be counted
  std::string detail;   ///< what exactly, for a person
  uint64_t id = 0;      ///< stable_id of the path as it is
  uint64_t source = 0;  ///< as of a sample: whether its files changed since
};

/// What one call of prepare found.
struct PhotoList {
  int64_t photos = 0;
  std::string hash;  ///< of the list of photos and masks with their sizes
};

/// The sides that a photo can be on.
inline constexpr const char* kSplits[] = {"train", "validation", "test"};

struct ShardEntry {
  std::string file;  ///< shard-00000.h5
  ShardSummary summary;
  std::string split = kSplits[0];
};

/// Hex over the fingerprints of shards.
std::string fingerprint_of(const std::vector<ShardEntry>& shards);

struct DatasetIndex {
  bool complete = false;
  std::string configuration;      ///< JSON object: everything of `prepare` that shapes the bytes
  std::vector<PhotoList> inputs;  ///< of the first call and of each that appended
  int64_t photos = 0;             ///< of all inputs
  int64_t photos_done = 0;        ///< those that the shards and rejections cover
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

/// Open a shard of `folder` that an index lists, and check that it is that one and on that side.
ShardReader open_shard(const std::filesystem::path& folder, const ShardEntry& entry);

/// The ids (stable_id) of all samples and rejections, with what tells whether their files changed.
/// Opens every shard.
struct KnownPhotos {
  std::unordered_map<uint64_t, uint64_t> kept, rejected;  ///< id -> source
};
KnownPhotos known_photos(const std::filesystem::path& folder, const DatasetIndex& index);

/// The options in which two configurations differ, with both values; "" when they are equal.
std::string configuration_difference(const std::string& there, const std::string& now);

/// A text with U+FFFD for all that is no UTF-8, as the JSON files have it.
std::string valid_utf8(const std::string& text);

/// Replace DIR/index.json.
void write_index(const std::filesystem::path& folder, const DatasetIndex& index);

}  // namespace limewash::data
