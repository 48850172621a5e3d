#pragma once
// The two ways to repaint a wall without a network. docs/colour.md compares them; `recolor` of
// data/reference.h is the one that comes closer to the truth.

#include "data/color.h"
#include "data/image.h"

namespace limewash::data {

/// Each channel of linear light times to/from, as paint does under the same light. Where the old
/// paint left little of a channel, its shading is taken from the other channels; highlights whiter
/// than the paint stay; colours that overflow are moved towards their own luminance.
Image recolor_linear_ratio(const Image& photo, const Mask& mask, const Rgb& from, const Rgb& to);

/// The difference of the two colours added in CIELAB.
Image recolor_lab_shift(const Image& photo, const Mask& mask, const Rgb& from, const Rgb& to);

}  // namespace limewash::data
