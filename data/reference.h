#pragma once
// References, targets and holes: what the network is asked for, what it should answer, what it may
// see.

#include <cstdint>
#include <string>

#include "data/color.h"
#include "data/image.h"
#include "runtime/config.h"
#include "runtime/random.h"

namespace limewash::data {

/// `reference`.
struct ReferenceOptions {
  std::string strategy = "hybrid";   ///< median (the wall's own colour) | random | hybrid
  double random_probability = 0.3;   ///< of a random colour under hybrid
  std::string target = "recolored";  ///< recolored | original
  std::string hole = "shading";      ///< shading | empty
  int64_t hole_margin = 2;  ///< pixels by which the hole is dilated: edges leak the old colour
  double noise = 8.0;       ///< sigma of the swatch's Gaussian noise, in 1/255
  double gradient = 0.05;   ///< the swatch's light falls from 1 + g to 1 - g
  double jitter = 0.0;      ///< Lab jitter of the swatch, each axis uniform in +-jitter
  void describe(config::Fields& fields);
  void validate() const;
};

struct Reference {
  Rgb color;  ///< the colour asked for
  bool own;   ///< it is the wall's own: the target is the photo itself
};

/// Reference `k` of a sample, from Philox(seed, kReference, k, sample_id).
Reference draw_reference(const ReferenceOptions& options,
                         uint64_t seed,
                         uint64_t sample_id,
                         int64_t k,
                         const Rgb& own_color);

/// The reference image: `size` x `size` of `color` with noise, gradient and jitter drawn from
/// `stream`; with `exact` plain.
Image render_swatch(const ReferenceOptions& options,
                    const Rgb& color,
                    int64_t size,
                    RandomStream stream,
                    bool exact = false);

/// Repaint the wall inside `mask` from apparent colour `from` to `to` in linear light: ratio per
/// channel with a floor, highlights kept, gamut-mapped, feathered inside the mask.
Image recolor(const Image& photo, const Mask& mask, const Rgb& from, const Rgb& to);

/// The mask dilated by options.hole_margin: what the UNet's mask channel shows.
Mask hole_mask(const ReferenceOptions& options, const Mask& mask);

/// The photo with the hole filled for the encoder. empty: mid-grey (0 in [-1, 1]); shading:
/// mid-grey times the hole's luminance relative to its median over the wall, in linear light,
/// without colour.
Image fill_hole(const ReferenceOptions& options, const Image& photo, const Mask& mask);

}  // namespace limewash::data
