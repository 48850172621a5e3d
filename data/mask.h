#pragma once
// The wall mask: its eroded core, its share of the photo, and the colour of the wall under it.

#include <cstdint>
#include <optional>

#include "data/color.h"
#include "data/image.h"

namespace limewash::data {

/// Erode with a `kernel` x `kernel` square, `iterations` times. What lies beyond the photo's border
/// counts as wall: a wall that leaves the frame is not eroded there. `kernel` is odd.
Mask erode(const Mask& mask, int64_t kernel, int64_t iterations);

/// The share of the picture that is wall, 0-1.
double wall_share(const Mask& mask);

/// The wall's apparent colour: the median of each channel over the core, as NumPy defines it (the
/// mean of the two middle values when their number is even). Blown highlights (all channels >= 250)
/// and deep shadow (all channels <= 10) are left out, unless more than half of the core would go:
/// then the wall itself is that bright or dark. Empty when the core is.
std::optional<Rgb> median_color(const Image& photo, const Mask& core);

}  // namespace limewash::data
