#pragma once
// References cut out of walls: a piece of the painted wall itself, or an exemplar, a distorted
// piece of a photo's wall as Paint-by-Example trains on them (Yang et al., "Paint by Example", CVPR
// 2023).

#include <cstdint>
#include <optional>

#include "data/color.h"
#include "data/image.h"
#include "runtime/random.h"

namespace limewash::data {

/// An axis-parallel square of pixels.
struct Square {
  int64_t top = 0, left = 0, side = 0;
};

/// A square that lies in `core`: its side is uniform in [0.4, 1] of the largest such square's, its
/// place uniform among all that fit. Empty when none of 8 pixels a side fits.
std::optional<Square> draw_square_in(const Mask& core, RandomStream& stream);

/// What is done to an exemplar, in Paint-by-Example's order: mirrored (p = 0.5), turned by up to 20
/// degrees (p = 0.5), blurred by a box of 3, 5 or 7 pixels (p = 0.3), sheared and scaled by moving
/// three points by up to 50/224 of the side (p = 0.3). What enters at the borders is a reflection.
/// No colour jitter: it would contradict the colour that is asked for.
Image distort_exemplar(const Image& square, RandomStream& stream);

/// A piece of the wall under `core`, `size` x `size`. Its light and texture are the photo's; its
/// median is brought to `color` by the recolouring of data/recolor.h, since the light differs from
/// place to place and a reference means one colour. Empty when `core` has no room for a square.
std::optional<Image> cut_wall(
    const Image& photo, const Mask& core, const Rgb& color, int64_t size, RandomStream& stream);

/// The same, but with a rim of 10/512 of the photo's side around the square, which may show what
/// stands beside the wall, and distorted.
std::optional<Image> cut_exemplar(
    const Image& photo, const Mask& core, const Rgb& color, int64_t size, RandomStream& stream);

}  // namespace limewash::data
