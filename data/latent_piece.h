#pragma once
// One file of the latent cache: the encoder outputs of up to 64 samples (docs/formats.md).

#include <cstdint>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "data/hdf5_file.h"
#include "data/latent_cache.h"
#include "data/latent_to_rgb.h"

namespace limewash::data {

inline constexpr int64_t kLatentCacheVersion = 1;
inline constexpr int64_t kSamplesOfPiece = 64;

/// The sizes of everything in a piece.
struct LatentShape {
  int64_t recolorings = 0, channels = 0, height = 0, width = 0;
  std::vector<int64_t> embedding_shape;  ///< of one reference; empty: none

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
    return recolorings * (2 * latent() + embedding() + 3) + latent() + 2 * plane();
  }
};

/// The numbers of samples [first, first + count) in memory; shapes as in the file.
struct LatentPiece {
  LatentPiece(const LatentShape& shape, int64_t first, int64_t count);

  LatentShape shape;
  int64_t first, count;
  std::vector<float> target_mean, target_deviation;  ///< [count, K, C, h, w]
  std::vector<float> hole;                           ///< [count, C, h, w]
  std::vector<float> mask, core;                     ///< [count, h, w]
  std::vector<float> embedding;                      ///< [count, K, ...embedding_shape]
  std::vector<float> color;                          ///< [count, K, 3]
  AffineFit fit;                                     ///< over this piece's targets

  /// XXH3 over what belongs to (sample, k): target mean, deviation, embedding, color; with k = K
  /// over what a sample has once: hole, mask, core.
  uint64_t checksum(int64_t sample, int64_t k) const;
  /// The views of (sample, k), `sample` counted from `first`.
  CachedSample view(int64_t sample, int64_t k) const;
};

/// Encode samples [first, first + count). Values that are not finite are an InputError naming the
/// photo.
LatentPiece encode_piece(const Dataset& dataset,
                         const LatentCacheOptions& options,
                         const Encoders& encoders,
                         const LatentShape& shape,
                         int64_t first,
                         int64_t count);

/// Write to a name of this process's own, then rename to `path`.
void write_piece(const std::filesystem::path& path,
                 const std::string& fingerprint,
                 const LatentPiece& piece);

/// An open piece file whose fingerprint, shapes and places were checked.
class LatentPieceFile {
 public:
  LatentPieceFile(std::filesystem::path path,
                  const std::string& fingerprint,
                  const LatentShape& shape,
                  int64_t first,
                  int64_t count);
  /// Read and verify all of it.
  LatentPiece read() const;
  /// Read and verify one (sample, k); the piece holds nothing else.
  LatentPiece read(int64_t sample, int64_t k) const;
  const AffineFit& fit() const;

 private:
  LatentPieceFile(std::filesystem::path path,
                  Hdf5Reader&& reader,
                  const std::string& fingerprint,
                  const LatentShape& shape,
                  int64_t first,
                  int64_t count);
  std::vector<float> values(const Hdf5Array& array, int64_t row, int64_t rows) const;
  [[noreturn]] void damaged(int64_t sample) const;
  std::filesystem::path path_;
  PositionedFile file_;
  LatentShape shape_;
  int64_t first_, count_;
  Hdf5Array target_mean_, target_deviation_, hole_, mask_, core_, embedding_, color_;
  std::vector<uint64_t> checksums_;  ///< [count, K + 1]
  AffineFit fit_;
};

}  // namespace limewash::data
