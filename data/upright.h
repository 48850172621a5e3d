#pragma once
// Turning stored pixels as EXIF says.

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace limewash::data {

/// Turns `pixels` [height, width, channels] upright, as EXIF 2.3 numbers the orientations (1 to 8);
/// `height` and `width` become those of the upright picture.
template <class Value>
void turn_upright(std::vector<Value>& pixels,
                  int64_t& height,
                  int64_t& width,
                  int64_t channels,
                  int orientation) {
  if (orientation <= 1 || orientation > 8) return;
  // Where the upright picture's first pixel is stored, and how far it is to the next one to the
  // right and downwards.
  const bool swaps = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation >= 7;
  const bool from_bottom =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const int64_t column = from_right ? -channels : channels;
  const int64_t row = (from_bottom ? -width : width) * channels;
  const int64_t origin = (from_right ? (width - 1) * channels : 0) +
                         (from_bottom ? (height - 1) * width * channels : 0);
  const int64_t right = swaps ? row : column, down = swaps ? column : row;
  const std::vector<Value> stored = std::move(pixels);
  if (swaps) std::swap(height, width);
  pixels.resize(stored.size());
  Value* to = pixels.data();
  for (int64_t y = 0; y < height; ++y) {
    const Value* from = stored.data() + origin + y * down;
    for (int64_t x = 0; x < width; ++x, from += right, to += channels)
      std::copy_n(from, channels, to);
  }
}

}  // namespace limewash::data
