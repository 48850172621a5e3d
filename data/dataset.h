#pragma once
// A prepared dataset: DIR/index.json and DIR/shard-*.h5 (docs/formats.md), read with pread from any
// thread.

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/color.h"
#include "data/image.h"

namespace limewash::data {

/// Where a procedural room comes from: render it again for any paint.
struct RoomSource {
  uint64_t seed = 0, id = 0;
  int64_t size = 0;  ///< pixels of the rendered photo, before crop and scale
};

/// What is known of a sample without reading its pixels.
struct SampleInfo {
  std::string id;          ///< the photo's relative path
  uint64_t stable_id = 0;  ///< xxh3 of id: keys every random draw
  std::string caption;
  Rgb color{};  ///< the wall's own apparent colour
  float quality = 1;
  std::optional<RoomSource> room;
  int64_t height = 0, width = 0;
  int64_t bucket = 0;     ///< the place in Dataset::buckets() of its size
  uint64_t checksum = 0;  ///< over everything that is stored of it
};

/// All samples of one size: what can stand together in a batch.
struct Bucket {
  int64_t height = 0, width = 0;
  std::vector<int64_t> samples;  ///< numbers of the dataset, ascending
};

struct Sample {
  Image image;
  Mask mask;  ///< the wall: the hole before its margin
  Mask core;  ///< the eroded wall: where colour is measured
};

/// The side of a dataset that is evaluated on: "validation" where there is one, else "": a dataset
/// prepared for nothing else. InputError when there is no dataset, or one with a test side and no
/// validation side.
std::string validation_split(const std::filesystem::path& folder);

class Dataset {
 public:
  /// Open and check index and shards (version, sizes, lengths). `split` is train, validation or
  /// test: only those samples, numbered from 0; "" is all of them. A dataset that was prepared
  /// without splits is all train. Throws InputError naming the file, or what there is when a split
  /// has no sample.
  explicit Dataset(const std::filesystem::path& folder, const std::string& split = "");
  ~Dataset();
  Dataset(Dataset&&) noexcept;

  int64_t size() const;
  /// Of the first bucket: of every sample where there is only one size.
  int64_t height() const;
  int64_t width() const;
  /// The samples by size, at least one bucket, in the order of their first samples.
  const std::vector<Bucket>& buckets() const;
  const SampleInfo& info(int64_t index) const;
  /// Read one sample and verify its checksum; InputError names shard and sample. Safe from any
  /// thread.
  Sample read(int64_t index) const;
  /// The photo repainted in `color`: exact for a procedural room, `recolor` of data/reference.h
  /// otherwise.
  Image repainted(int64_t index, const Sample& sample, const Rgb& color) const;
  /// Hex over everything that shaped the bytes of these samples: two splits have two.
  const std::string& fingerprint() const;
  const std::filesystem::path& folder() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace limewash::data
