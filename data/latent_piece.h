#pragma once
// One file of the latent cache: the encoder outputs of up to 64 samples of one size
// (docs/formats.md).

#include <cstdint>
#include <filesystem>
#include <functional>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/hdf5_file.h"
#include "data/latent_cache.h"
#include "data/latent_to_rgb.h"
#include "data/swatch_bank.h"

namespace limewash::data {

inline constexpr int64_t kLatentCacheVersion = 2;
inline constexpr int64_t kSamplesOfPiece = 64;

/// The sizes of everything in a piece.
struct LatentShape {
  int64_t recolorings = 0, channels = 0, height = 0, width = 0;
  std::vector<int64_t> embedding_shape;  ///< of one reference; empty: none, or they are in a bank
  int64_t variants = 1;

  int64_t plane() const {
    return height * width;
  }
  int64_t latent() const {
    return channels * plane();
  }
  /// Values of one reference's embedding.
  int64_t embedding() const {
    if (embedding_shape.empty()) return 0;
    return std::accumulate(
        embedding_shape.begin(), embedding_shape.end(), int64_t{1}, std::multiplies<>());
  }
  /// float32 values of one sample.
  int64_t values() const {
    return recolorings * (embedding() + 3) +
           variants * (recolorings * 2 * latent() + latent() + 2 * plane());
  }
  int64_t checksums() const {
    return variants * recolorings + variants + recolorings;
  }
  /// Bytes of a piece of `count` samples, but for HDF5's own few kilobytes.
  int64_t bytes(int64_t count) const {
    return count *
           (values() * static_cast<int64_t>(sizeof(float)) +
            (checksums() + recolorings + 2 * variants) * static_cast<int64_t>(sizeof(uint64_t)));
  }
};

/// The numbers of `count` samples in memory; shapes as in the file.
struct LatentPiece {
  LatentPiece(const LatentShape& shape, int64_t count);

  LatentShape shape;
  int64_t count;
  std::vector<float> target_mean, target_deviation;  ///< [count, V, K, C, h, w]
  std::vector<float> hole;                           ///< [count, V, C, h, w]
  std::vector<float> mask, core;                     ///< [count, V, h, w]
  std::vector<float> embedding;                      ///< [count, K, ...embedding_shape]
  std::vector<float> color;                          ///< [count, K, 3]
  std::vector<uint64_t> swatch;                      ///< [count, K]: of the bank; 0 without one
  AffineFit fit;                                     ///< over this piece's targets

  /// XXH3 over what belongs to (sample, variant, k): target mean, deviation.
  uint64_t target_checksum(int64_t sample, int64_t variant, int64_t k) const;
  /// Over what a sample has once a variant: hole, mask, core.
  uint64_t hole_checksum(int64_t sample, int64_t variant) const;
  /// Over what belongs to (sample, k) in all variants: embedding, color, swatch.
  uint64_t reference_checksum(int64_t sample, int64_t k) const;
  /// All of a sample's, in this order.
  std::vector<uint64_t> checksums(int64_t sample) const;
  /// The views of (sample, k, variant).
  CachedSample view(int64_t sample, int64_t k, int64_t variant) const;
};

/// Which samples of a dataset a piece holds.
using PieceSamples = std::span<const int64_t>;

/// Encode samples of one size. Values that are not finite are an InputError naming the photo.
/// `bank` is null where there is none; the piece's embeddings are then its own.
LatentPiece encode_piece(const Dataset& dataset,
                         const LatentCacheOptions& options,
                         const Encoders& encoders,
                         const LatentShape& shape,
                         const SwatchBank* bank,
                         PieceSamples samples);

/// Write to a name of this process's own, then rename to `path`. `key` is a hash of everything that
/// shaped the numbers.
void write_piece(const std::filesystem::path& path,
                 const std::string& key,
                 const LatentPiece& piece);

/// The sums of a sample's mask and core over the latent's pixels.
struct LatentAreas {
  double hole = 0, core = 0;
};

/// A piece file whose key, shapes, places and sums were checked. Safe to read from any thread.
class LatentPieceFile {
 public:
  /// `keep_open` holds the file's descriptor; without it each read opens the file again.
  LatentPieceFile(std::filesystem::path path,
                  const std::string& key,
                  const LatentShape& shape,
                  int64_t count,
                  bool keep_open = true);
  /// Read and verify all of it.
  LatentPiece read() const;
  /// Read and verify one (sample, k, variant); the piece holds nothing else.
  LatentPiece read(int64_t sample, int64_t k, int64_t variant) const;
  const AffineFit& fit() const;
  const LatentAreas& areas(int64_t sample, int64_t variant) const;

 private:
  LatentPieceFile(std::filesystem::path path,
                  Hdf5Reader&& reader,
                  const std::string& key,
                  const LatentShape& shape,
                  int64_t count,
                  bool keep_open);
  [[noreturn]] void damaged(int64_t sample) const;
  std::filesystem::path path_;
  std::optional<PositionedFile> file_;
  LatentShape shape_;
  int64_t count_;
  Hdf5Array target_mean_, target_deviation_, hole_, mask_, core_, embedding_, color_, swatch_;
  std::vector<uint64_t> checksums_;  ///< [count, V K + V + K]
  std::vector<LatentAreas> areas_;   ///< [count, V]
  AffineFit fit_;
};

/// A temporary name beside `path` that no other process on any host takes.
std::filesystem::path temporary_name(const std::filesystem::path& path);

}  // namespace limewash::data
