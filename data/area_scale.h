#pragma once
// Scaling by area in whole numbers: each output value is the exact mean over its area of the
// source.

#include <cstdint>

namespace limewash::data {

/// A rectangle of an 8-bit picture in memory.
struct PixelView {
  const uint8_t* origin;
  int64_t stride;  ///< bytes from row to row
  int64_t height, width;
};

/// Shrink RGB pixels to [out_height, out_width, 3], halves rounded up. Neither side may grow;
/// `out_height` is at most 32767 and the view's height below 2^24.
void scale_rgb_by_area(const PixelView& in, int64_t out_height, int64_t out_width, uint8_t* out);

/// Shrink a mask of 0 and 255 to [out_height, out_width]: 255 where more than half of the area is.
void scale_mask_by_area(const PixelView& in, int64_t out_height, int64_t out_width, uint8_t* out);

}  // namespace limewash::data
