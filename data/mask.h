#pragma once
// The wall mask: its eroded core and its share of the photo.

#include <cstdint>

#include "data/crop_scale.h"
#include "data/image.h"

namespace limewash::data {

/// Erode with a `kernel` x `kernel` square, `iterations` times. What lies beyond the photo's border
/// counts as wall: a wall that leaves the frame is not eroded there. `kernel` is odd.
Mask erode(const Mask& mask, int64_t kernel, int64_t iterations);

/// `part` of what the above gives, without the work outside of it.
Mask erode(const Mask& mask, int64_t kernel, int64_t iterations, const Rectangle& part);

/// The number of wall pixels.
int64_t count_wall(const Mask& mask);
/// The same of `count` mask values that are 0 or 255.
int64_t count_wall(const uint8_t* values, int64_t count);

/// The share of the picture that is wall, 0-1.
double wall_share(const Mask& mask);

}  // namespace limewash::data
