#pragma once
// The wall's colours by k-means: what /palette holds, and how the wall's own colour may be taken.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "data/image.h"

namespace limewash::data {

/// Colours in a palette.
inline constexpr int64_t kPaletteColors = 4;

/// sRGB 0-1 and the share of the core.
using PaletteColor = std::array<float, 4>;

/// The core's colours by k-means, largest share first. The shares sum to 1; the core must not be
/// empty. Where it has more than kMaxCoreSample pixels, `seed` and `sample_id` pick them.
std::vector<PaletteColor> palette(const Image& photo,
                                  const Mask& core,
                                  uint64_t seed,
                                  uint64_t sample_id);

/// The same of given pixels, at least one: Lloyd's algorithm ("Least squares quantization in PCM",
/// 1982) in sRGB with kPaletteColors centres, at most 20 steps. It starts at the middles of equal
/// shares of the pixels in order of luminance, so without chance. Equal shares keep the order of
/// their starts.
std::vector<PaletteColor> cluster_colors(std::span<const std::array<uint8_t, 3>> pixels);

}  // namespace limewash::data
