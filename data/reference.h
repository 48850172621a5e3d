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

struct Sample;
struct SampleInfo;

/// `reference`.
struct ReferenceOptions {
  std::string strategy = "hybrid";   ///< median | mean | kmeans | random | hybrid
  double random_probability = 0.3;   ///< of a random colour under hybrid
  std::string image = "swatch";      ///< swatch | wall_crop | exemplar
  int64_t bank = 0;                  ///< swatches that all references share; 0: each has its own
  std::string target = "recolored";  ///< recolored | original
  std::string hole = "shading";      ///< shading | empty
  int64_t hole_margin = 2;  ///< pixels by which the hole is dilated: edges leak the old colour
  double noise = 8.0;       ///< sigma of the swatch's Gaussian noise, in 1/255
  double gradient = 0.05;   ///< the swatch's light falls from 1 + g to 1 - g
  double jitter = 0.0;      ///< of the own colour asked for, each axis of Lab uniform in +-jitter
  void describe(config::Fields& fields);
  /// Throws ConfigError: a bank can hold swatches only.
  void validate() const;
};

/// The wall's own colour as `options.strategy` measures it: median, mean or kmeans over the core of
/// the sample's pixels, by data/wall_color.h, whatever `prepare` was told; under random and hybrid
/// what `prepare` measured. `seed` picks the pixels that k-means looks at on large walls.
Rgb own_color(const ReferenceOptions& options,
              uint64_t seed,
              const SampleInfo& info,
              const Sample& sample);

/// The channels of random references: neither black nor white, which have no hue to follow.
inline constexpr float kDarkestReference = 30.0f / 255, kBrightestReference = 240.0f / 255;

struct Reference {
  Rgb color;            ///< the colour asked for
  bool own;             ///< it is the wall's own: the target is the photo itself
  bool random = false;  ///< it has nothing to do with the wall
};

/// Reference `k` of a sample, from Philox(seed, kReference, k, sample_id). Under `jitter` the own
/// colour is moved first (kSwatch), and the moved one is what is asked for: it counts as another
/// colour, to which the target is repainted, so that reference and target never contradict.
Reference draw_reference(const ReferenceOptions& options,
                         uint64_t seed,
                         uint64_t sample_id,
                         int64_t k,
                         const Rgb& own_color);

/// A reference image: `size` x `size` of `color` with noise and a gradient drawn from `stream`;
/// with `exact` plain.
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
