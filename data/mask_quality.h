#pragma once
// How far a wall mask can be trusted, 0-1, from simple parts that are each reported; and the wall's
// palette.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/image.h"

namespace limewash::data {

/// The names of the parts, in the order in which `quality_parts` gives them:
/// `wall_share`: 1 well inside the allowed range of shares, 0.5 at its limits;
/// `connected_pieces`: the share of the wall that lies in its four largest pieces: a room shows few
/// wall surfaces, a noisy mask many splinters; `color_homogeneity`: exp(-d / 20), d the median
/// distance in CIELAB's a, b from the wall's median a, b over the core: paint has one hue, whatever
/// the light.
const std::vector<std::string>& quality_part_names();

/// The parts of one sample. `low` and `high` are the allowed wall shares; `seed` picks the pixels
/// where the core has more than 10,000.
std::vector<float> quality_parts(const Image& photo,
                                 const Mask& mask,
                                 const Mask& core,
                                 double low,
                                 double high,
                                 uint64_t seed,
                                 uint64_t sample_id);

/// The geometric mean of the parts: one bad part makes a bad mask.
float quality_of(const std::vector<float>& parts);

/// Colours in a palette.
inline constexpr int64_t kPaletteColors = 4;

/// sRGB 0-1 and the share of the core.
using PaletteColor = std::array<float, 4>;

/// The core's colours by k-means in sRGB (Lloyd's algorithm, started at quantiles of the luminance,
/// so without chance), largest share first. The shares sum to 1; the core must not be empty.
std::vector<PaletteColor> palette(const Image& photo,
                                  const Mask& core,
                                  uint64_t seed,
                                  uint64_t sample_id);

}  // namespace limewash::data
