#pragma once
// The geometry between a source photo and a training sample: the largest centred square, scaled.

#include <cstdint>

#include "data/image.h"

namespace limewash::data {

/// Cut out the largest centred square (the odd pixel stays at the right or the bottom) and scale it
/// to `size` x `size`: by area, exactly, rounding halves up, when it shrinks; bilinearly when it
/// grows.
Image crop_and_scale(const Image& photo, int64_t size);

/// The same for a mask, then binarised: wall where more than half of the pixel is wall.
Mask crop_and_scale(const Mask& mask, int64_t size);

/// Scale a mask to a photo's size: by area, binarised at half, when both sides shrink; nearest
/// otherwise.
Mask scale_mask(const Mask& mask, int64_t height, int64_t width);

/// The mean of each `factor` x `factor` block of a channel-interleaved 8-bit picture, in 0-255.
/// Height and width must be multiples of `factor`; `means` is [height / factor, width / factor,
/// channels].
void block_means(const uint8_t* pixels,
                 int64_t height,
                 int64_t width,
                 int64_t channels,
                 int64_t factor,
                 float* means);

}  // namespace limewash::data
