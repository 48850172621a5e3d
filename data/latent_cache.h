#pragma once
// Encoder outputs beside the shards: DIR/cache-FINGERPRINT/, built once, by all ranks together, in
// pieces of a fixed number of samples so that the bytes do not depend on the number of ranks. A
// piece holds, per sample: K target latents (mean and standard deviation), the hole latents, K
// reference embeddings and colours, the hole mask at latent size (nearest, as diffusers' pipeline
// takes it) and the core at latent size (area).

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/reference.h"
#include "runtime/communicator.h"

namespace limewash::data {

/// The frozen encoders, as callbacks: data/ knows no model. All arrays are float32, row-major.
struct Encoders {
  std::string fingerprint;  ///< of the encoders' weights and configs
  int64_t latent_channels = 4;
  int64_t downscale = 8;  ///< pixels per latent
  /// Of one reference's embedding: [E], or [P, E] for P hidden states; empty: none is made.
  std::vector<int64_t> embedding_shape;
  std::string embedding_kind;  ///< which output of the encoder it is
  int64_t swatch_size = 224;   ///< pixels of the reference image
  /// Images of one size -> scaled latent mean and deviation, each [N, C, h, w].
  std::function<void(std::span<const Image> images, float* mean, float* deviation)> encode_images;
  /// Reference images -> embeddings [N, ...embedding_shape].
  std::function<void(std::span<const Image> swatches, float* embeddings)> encode_references;
};

struct LatentCacheOptions {
  int64_t recolorings = 4;  ///< K references of a sample
  uint64_t seed = 42;
  ReferenceOptions reference;
};

/// Everything of one (sample, k), in memory.
struct CachedSample {
  std::span<const float> target_mean, target_deviation;  ///< [C, h, w]
  std::span<const float> hole;       ///< [C, h, w]: the mean of the filled photo's latents
  std::span<const float> mask;       ///< [h, w], 1 = hole
  std::span<const float> core;       ///< [h, w], share of the pixel that is core
  std::span<const float> embedding;  ///< [...embedding_shape]
  Rgb color{};                       ///< the colour asked for, sRGB
  std::shared_ptr<const void>
      owner;  ///< keeps the spans alive when the cache is too large for memory
};

class LatentCache {
 public:
  /// Open the cache that fits (dataset, options, encoders), building what is missing; every rank
  /// encodes its share of pieces, none waits in a collective while it does. A stop request ends it
  /// early by an InputError-free return of nullptr. Values that are not finite are an InputError
  /// naming the photo.
  static std::unique_ptr<LatentCache> open(const Dataset& dataset,
                                           const LatentCacheOptions& options,
                                           const Encoders& encoders,
                                           Communicator& communicator);
  ~LatentCache();

  int64_t size() const;
  int64_t latent_height() const;
  int64_t latent_width() const;
  const std::vector<int64_t>& embedding_shape() const;
  CachedSample sample(int64_t index, int64_t k) const;
  /// Least-squares affine map from scaled latents to sRGB in [0, 1] of the area-scaled targets:
  /// row-major [C + 1, 3], the last row the offset. Fitted over all cached targets in a fixed
  /// order.
  const std::vector<float>& latent_to_rgb() const;

 private:
  LatentCache();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace limewash::data
