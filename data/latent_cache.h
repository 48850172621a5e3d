#pragma once
// Encoder outputs beside the shards: DIR/cache-FINGERPRINT/, built once, by all ranks together, in
// files of a fixed number of samples of one size, so that the bytes do not depend on the number of
// ranks. A piece holds, per sample: V times K target latents (mean and standard deviation), V times
// the hole latents, the hole mask at latent size (nearest, as diffusers' pipeline takes it) and the
// core at latent size (area); K reference embeddings and colours. With a bank of swatches the
// embeddings stand in files of their own, one a swatch. Formats: docs/formats.md.

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
  int64_t variants = 1;  ///< V cuts of a sample: itself, then flips and crops (data/variant.h)
  /// A cache below this is kept in memory, verified once; a larger one is read sample by sample.
  int64_t max_bytes_in_memory = int64_t{2} << 30;
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
  /// encodes its share of files, none waits in a collective while it does. What fits is whole, of
  /// these very samples, options and encoders; anything else is made again with a warning. A disk
  /// without room is an InputError before anyone encodes. A stop request ends it early by an
  /// InputError-free return of nullptr. Values that are not finite are an InputError naming the
  /// photo.
  static std::unique_ptr<LatentCache> open(const Dataset& dataset,
                                           const LatentCacheOptions& options,
                                           const Encoders& encoders,
                                           Communicator& communicator);
  ~LatentCache();

  int64_t size() const;
  int64_t variants() const;
  /// Of a sample's latents; samples of one bucket have one size.
  int64_t latent_height(int64_t index = 0) const;
  int64_t latent_width(int64_t index = 0) const;
  const std::vector<int64_t>& embedding_shape() const;
  /// Reference `k` of a sample, seen in `variant`. Safe from any thread. A damaged piece is an
  /// InputError naming its file.
  CachedSample sample(int64_t index, int64_t k, int64_t variant = 0) const;
  /// The sums of a sample's `mask` and `core` over its latent pixels, known without reading it.
  double hole_area(int64_t index, int64_t variant = 0) const;
  double core_area(int64_t index, int64_t variant = 0) const;
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
