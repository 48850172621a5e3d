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
#include "data/palette.h"

namespace limewash::data {

inline constexpr int64_t kShardVersion = 2;

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
  std::string file_hash;    ///< over the file's bytes; "" of a ShardReader, which reads only some
};

/// XXH3 over the sample's bytes: image, mask, core, color, palette, quality, quality parts, room
/// (three uint64, zeros when there is none), id, a zero byte, caption, a zero byte.
uint64_t sample_checksum(const ShardSample& sample);

/// A sample ready to be written: what takes time is done, by any thread.
struct PackedSample {
  ShardSample sample;    ///< its pixel buffers are empty when they are deflated
  float wall_share = 0;  ///< of the mask
  uint64_t checksum = 0;
  uint64_t source = 0;  ///< what tells whether the photo's files changed: hash over their sizes
  std::vector<uint8_t> image, mask, core;  ///< deflated, or empty

  /// Of the pixels before they were deflated.
  int64_t pixel_bytes() const;
};

/// Check the sample's sizes, compute its checksum, and deflate its pixels if `gzip`.
PackedSample pack(ShardSample&& sample, uint64_t source, bool gzip);

/// What all samples of a shard have in common, besides their size.
struct ShardHead {
  std::string configuration;  ///< JSON text that becomes the attribute of that name
  std::string split = "train";
};

/// Write `samples`, all of one size and all deflated or none, to `path`: under a temporary name
/// first, closed, synced, read back and compared, then renamed. Equal input gives equal bytes.
/// Throws InputError; then nothing stands at `path`.
ShardSummary write_shard(const std::filesystem::path& path,
                         const ShardHead& head,
                         std::span<const PackedSample> samples);
/// The same for samples of the train split that are not packed yet.
ShardSummary write_shard(const std::filesystem::path& path,
                         const std::string& configuration,
                         std::span<const ShardSample> samples,
                         bool gzip = false);

/// Opens a shard that may be damaged or hostile; reads its samples with pread from any thread.
class ShardReader {
 public:
  /// Check the version, then types, shapes and places of all datasets, and load everything but the
  /// pixels. Throws InputError naming the file and what is wrong with it.
  explicit ShardReader(std::filesystem::path path);

  const ShardSummary& summary() const;
  const ShardHead& head() const;
  /// Of `quality_parts`, as the attribute says.
  const std::vector<std::string>& quality_part_names() const;
  std::vector<float> quality_parts(int64_t index) const;
  uint64_t source(int64_t index) const;
  float wall_share(int64_t index) const;
  const SampleInfo& info(int64_t index) const;
  /// Enter the bucket's number into the info of every sample.
  void set_bucket(int64_t bucket);
  /// Everything of one sample, its checksum verified: InputError names the shard and the sample.
  ShardSample read(int64_t index) const;

 private:
  std::vector<float> row(const std::vector<float>& values, int64_t index) const;
  std::filesystem::path path_;
  PositionedFile file_;
  ShardSummary summary_;
  ShardHead head_;
  std::vector<std::string> part_names_;
  Hdf5Rows image_, mask_, core_;
  std::vector<SampleInfo> infos_;
  std::vector<float> palette_, quality_parts_, wall_shares_;
  std::vector<uint64_t> checksums_, sources_;

  ShardReader(std::filesystem::path path, Hdf5Reader&& reader);
};

/// Open a shard that an index lists, and check that it is that one: missing, truncated, of another
/// version, damaged and foreign are told apart by the InputError.
ShardReader open_listed_shard(const std::filesystem::path& path, const ShardSummary& expected);

}  // namespace limewash::data
