#pragma once
// The geometry between a source photo and a training sample: the largest centred rectangle of the
// sample's shape, scaled.

#include <cstdint>

#include "data/image.h"

namespace limewash::data {

/// A part of a picture, in pixels.
struct Rectangle {
  int64_t top = 0, left = 0, height = 0, width = 0;
};

/// The largest centred rectangle, in a picture of `height` x `width`, that is shaped like a sample
/// of `out_height` x `out_width`: the whole picture in one direction, the nearest number of pixels
/// in the other (halves up, at least one). The odd pixel stays at the right or the bottom. For a
/// square sample this is the largest centred square.
Rectangle centered_rectangle(int64_t height, int64_t width, int64_t out_height, int64_t out_width);

/// Cut out `part` and scale it to `out_height` x `out_width`: by area, exactly, rounding halves up,
/// when neither side grows; bilinearly otherwise. `part` must lie in the photo.
Image crop_and_scale(const Image& photo,
                     const Rectangle& part,
                     int64_t out_height,
                     int64_t out_width);

/// The same for a mask, then binarised: wall where more than half of the pixel is wall.
Mask crop_and_scale(const Mask& mask, const Rectangle& part, int64_t out_height, int64_t out_width);

/// The same of the largest centred square, to `size` x `size`.
Image crop_and_scale(const Image& photo, int64_t size);
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
