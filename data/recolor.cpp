#include "data/recolor.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "data/color_tables.h"
#include "data/reference.h"

namespace limewash::data {
namespace {

using Linear = std::array<float, 3>;

Linear to_linear(const Rgb& rgb) {
  return {srgb_to_linear(rgb[0]), srgb_to_linear(rgb[1]), srgb_to_linear(rgb[2])};
}

float smooth_step(float from, float to, float value) {
  const float t = std::clamp((value - from) / (to - from), 0.0f, 1.0f);
  return t * t * (3 - 2 * t);
}

/// How much of a mask pixel is repainted: the share of its 3 x 3 neighbourhood that is wall, so
/// that the outermost pixels, which mix wall and object, blend.
float feather(const Mask& mask, int64_t row, int64_t column) {
  int inside = 0, all = 0;
  for (int64_t y = std::max<int64_t>(row - 1, 0); y <= std::min(row + 1, mask.height - 1); ++y) {
    for (int64_t x = std::max<int64_t>(column - 1, 0); x <= std::min(column + 1, mask.width - 1);
         ++x) {
      ++all;
      inside += mask.pixels[static_cast<size_t>(y * mask.width + x)] != 0;
    }
  }
  return static_cast<float>(inside) / static_cast<float>(all);
}

/// Call `repaint(rgb bytes) -> linear` for the pixels of the mask and blend what it gives.
template <class Repaint>
Image repaint_mask(const Image& photo, const Mask& mask, const Repaint& repaint) {
  if (photo.height != mask.height || photo.width != mask.width) {
    throw std::invalid_argument("recolor: photo and mask must be of one size");
  }
  const auto& linear = linear_of_byte();
  Image result = photo;
  for (int64_t row = 0; row < photo.height; ++row) {
    for (int64_t column = 0; column < photo.width; ++column) {
      const auto at = static_cast<size_t>(row * photo.width + column);
      if (mask.pixels[at] == 0) continue;
      const uint8_t* source = &photo.pixels[3 * at];
      const Linear before = {linear[source[0]], linear[source[1]], linear[source[2]]};
      const Linear after = repaint(source, before);
      const float share = feather(mask, row, column);
      for (size_t c = 0; c < 3; ++c) {
        result.pixels[3 * at + c] = byte_of_linear(before[c] + share * (after[c] - before[c]));
      }
    }
  }
  return result;
}

/// Into [0, 1] by moving towards the luminance, which keeps the hue where clipping would not.
Linear into_gamut(Linear color) {
  const float largest = std::max({color[0], color[1], color[2]});
  if (largest <= 1) return color;
  const float grey = std::min(luminance(color[0], color[1], color[2]), 1.0f);
  const float share = (1 - grey) / (largest - grey);
  for (float& channel : color) channel = grey + share * (channel - grey);
  return color;
}

}  // namespace

Image recolor_linear_ratio(const Image& photo, const Mask& mask, const Rgb& from, const Rgb& to) {
  // Light below this says more about noise and rounding than about shading.
  constexpr float kFloor = 0.02f;
  const Linear old_paint = to_linear(from), new_paint = to_linear(to);
  const float old_luminance = std::max(luminance(old_paint[0], old_paint[1], old_paint[2]), 1e-4f);
  return repaint_mask(photo, mask, [&](const uint8_t*, const Linear& before) {
    const float shading = luminance(before[0], before[1], before[2]) / old_luminance;
    Linear after;
    for (size_t c = 0; c < 3; ++c) {
      after[c] = new_paint[c] * (before[c] + kFloor * shading) / (old_paint[c] + kFloor);
    }
    after = into_gamut(after);
    // A lamp's reflex has the lamp's colour, not the paint's.
    const float whiteness = std::min({before[0], before[1], before[2]});
    const float highlight = smooth_step(0.80f, 0.97f, whiteness) * smooth_step(1.3f, 2.0f, shading);
    for (size_t c = 0; c < 3; ++c) after[c] += highlight * (before[c] - after[c]);
    return after;
  });
}

Image recolor_lab_shift(const Image& photo, const Mask& mask, const Rgb& from, const Rgb& to) {
  const Lab old_paint = rgb_to_lab(from), new_paint = rgb_to_lab(to);
  return repaint_mask(photo, mask, [&](const uint8_t* source, const Linear&) {
    Lab lab = rgb_to_lab({source[0] / 255.0f, source[1] / 255.0f, source[2] / 255.0f});
    for (size_t axis = 0; axis < 3; ++axis) lab[axis] += new_paint[axis] - old_paint[axis];
    lab[0] = std::clamp(lab[0], 0.0f, 100.0f);
    return to_linear(lab_to_rgb(lab));
  });
}

Image recolor(const Image& photo, const Mask& mask, const Rgb& from, const Rgb& to) {
  return recolor_linear_ratio(photo, mask, from, to);
}

}  // namespace limewash::data
