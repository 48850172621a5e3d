#pragma once
// Variants of a sample: itself, then cuts of it that are flipped, cropped or both. They are encoded
// into the latent cache like the sample; the loader shows another one in each epoch.

#include <cstdint>

#include "data/dataset.h"
#include "data/image.h"

namespace limewash::data {

/// A cut of a picture: a rectangle of it, perhaps mirrored, at the picture's own size again.
struct Variant {
  bool flip = false;  ///< left and right change places, after the crop
  int64_t top = 0, left = 0, height = 0, width = 0;

  /// Apply it. The crop is enlarged bilinearly; a mask is then wall where more than half of it is.
  Image apply(const Image& image) const;
  Mask apply(const Mask& mask) const;
  /// Photo, mask and core alike; the core stays inside the mask.
  Sample apply(const Sample& sample) const;
};

/// Variant `number` of a sample, from Philox(seed, kVariant, number, sample_id). 0 is the sample
/// itself; another one is mirrored, or a crop of 0.8 to 1 of both sides, or both, which keeps at
/// least half of `core`.
Variant draw_variant(uint64_t seed, uint64_t sample_id, int64_t number, const Mask& core);

/// Which of its `variants` a sample shows in `epoch`, so that over recolorings x variants epochs it
/// shows each pair of `recoloring_of` and this once; samples start at different ones.
int64_t variant_of(
    uint64_t seed, uint64_t epoch, uint64_t sample_id, int64_t recolorings, int64_t variants);

}  // namespace limewash::data
