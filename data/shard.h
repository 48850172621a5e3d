#pragma once
// One shard: an HDF5 file of samples of one size (docs/formats.md).

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/hdf5_file.h"
#include "data/mask_quality.h"

namespace limewash::data {

inline constexpr int64_t kShardVersion = 1;

/// A sample as `prepare` hands it over to be written.
struct ShardSample {
  Sample pixels;
  std::string id;  ///< the photo's relative path
  std::string caption;
  Rgb color{};
  std::vector<PaletteColor> palette;  ///< kPaletteColors of them
  std::vector<float> quality_parts;   ///< as quality_part_names()
  float quality = 1;
  std::optional<RoomSource> room;
};

/// What identifies a finished shard.
struct ShardSummary {
  int64_t samples = 0, height = 0, width = 0, bytes = 0;
  std::string fingerprint;  ///< over the configuration and all samples
};

/// XXH3 over the sample's bytes: image, mask, core, color, palette, quality, quality parts, room
/// (three uint64, zeros when there is none), id, a zero byte, caption, a zero byte.
uint64_t sample_checksum(const ShardSample& sample);

/// Write `samples`, all of one size, to `path`: under a temporary name first, closed, synced, read
/// back and compared, then renamed. `configuration` is the JSON text that becomes the attribute of
/// that name. Equal input gives equal bytes. Throws InputError; then nothing stands at `path`.
ShardSummary write_shard(const std::filesystem::path& path,
                         const std::string& configuration,
                         std::span<const ShardSample> samples);

/// Opens a shard that may be damaged or hostile; reads its samples with pread from any thread.
class ShardReader {
 public:
  /// Check the version, then types, shapes and places of all datasets, and load everything but the
  /// pixels. Throws InputError naming the file and what is wrong with it.
  explicit ShardReader(std::filesystem::path path);

  const ShardSummary& summary() const;
  const std::string& configuration() const;
  const SampleInfo& info(int64_t index) const;
  /// Everything of one sample, its checksum verified: InputError names the shard and the sample.
  ShardSample read(int64_t index) const;

 private:
  std::vector<float> row(const std::vector<float>& values, int64_t index) const;
  std::filesystem::path path_;
  PositionedFile file_;
  ShardSummary summary_;
  std::string configuration_;
  Hdf5Array image_, mask_, core_;
  std::vector<SampleInfo> infos_;
  std::vector<float> palette_, quality_parts_;
  std::vector<uint64_t> checksums_;

  ShardReader(std::filesystem::path path, Hdf5Reader&& reader);
};

/// Open a shard that an index lists, and check that it is that one: missing, truncated, of another
/// version, damaged and foreign are told apart by the InputError.
ShardReader open_listed_shard(const std::filesystem::path& path, const ShardSummary& expected);

}  // namespace limewash::data
