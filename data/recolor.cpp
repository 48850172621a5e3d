#include "data/recolor.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

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

/// Each pixel's place: deep in the wall or outside it (all 3 x 3 neighbours alike), or at the edge.
enum class Place : uint8_t { kWall, kOutside, kWallEdge, kOutsideEdge };

std::vector<Place> places_of(const Mask& mask) {
  std::vector<Place> places(mask.pixels.size());
  for (int64_t row = 0; row < mask.height; ++row) {
    for (int64_t column = 0; column < mask.width; ++column) {
      const auto at = static_cast<size_t>(row * mask.width + column);
      const bool wall = mask.pixels[at] != 0;
      bool edge = false;
      for (int64_t y = std::max<int64_t>(row - 1, 0); y <= std::min(row + 1, mask.height - 1);
           ++y) {
        for (int64_t x = std::max<int64_t>(column - 1, 0);
             x <= std::min(column + 1, mask.width - 1);
             ++x) {
          edge |= (mask.pixels[static_cast<size_t>(y * mask.width + x)] != 0) != wall;
        }
      }
      places[at] = wall ? (edge ? Place::kWallEdge : Place::kWall)
                        : (edge ? Place::kOutsideEdge : Place::kOutside);
    }
  }
  return places;
}

/// Wall and object around a pixel at the edge, each the mean over what is deep in it.
struct Surroundings {
  Linear wall{}, outside{};
  bool known = false;
};

Surroundings look_around(const Image& photo,
                         const std::vector<Place>& places,
                         int64_t row,
                         int64_t column) {
  constexpr int64_t kReach = 2;
  const auto& linear = linear_of_byte();
  Surroundings around;
  int walls = 0, others = 0;
  for (int64_t y = std::max<int64_t>(row - kReach, 0);
       y <= std::min(row + kReach, photo.height - 1);
       ++y) {
    for (int64_t x = std::max<int64_t>(column - kReach, 0);
         x <= std::min(column + kReach, photo.width - 1);
         ++x) {
      const auto at = static_cast<size_t>(y * photo.width + x);
      const bool wall = places[at] == Place::kWall;
      if (!wall && places[at] != Place::kOutside) continue;
      (wall ? walls : others) += 1;
      Linear& sum = wall ? around.wall : around.outside;
      for (size_t c = 0; c < 3; ++c) sum[c] += linear[photo.pixels[3 * at + c]];
    }
  }
  around.known = walls > 0 && others > 0;
  if (!around.known) return around;
  for (size_t c = 0; c < 3; ++c) {
    around.wall[c] /= static_cast<float>(walls);
    around.outside[c] /= static_cast<float>(others);
  }
  return around;
}

/// How much of a pixel at the edge is wall, when it is a mixture of the two; all of it when they
/// look alike.
float share_of_wall(const Linear& pixel, const Surroundings& around) {
  float along = 0, squared = 0;
  for (size_t c = 0; c < 3; ++c) {
    const float step = around.wall[c] - around.outside[c];
    along += step * (pixel[c] - around.outside[c]);
    squared += step * step;
  }
  constexpr float kAlike = 1e-3f;
  // A mask pixel is more than half wall.
  return squared < kAlike ? 1.0f : std::clamp(along / squared, 0.5f, 1.0f);
}

/// Call `repaint(linear) -> linear` for the pixels of the mask. Those at its edge mix wall and
/// object: only the wall's share changes.
template <class Repaint>
Image repaint_mask(const Image& photo, const Mask& mask, const Repaint& repaint) {
  if (photo.height != mask.height || photo.width != mask.width) {
    throw std::invalid_argument("recolor: photo and mask must be of one size");
  }
  const auto& linear = linear_of_byte();
  const std::vector<Place> places = places_of(mask);
  Image result = photo;
  for (int64_t row = 0; row < photo.height; ++row) {
    for (int64_t column = 0; column < photo.width; ++column) {
      const auto at = static_cast<size_t>(row * photo.width + column);
      if (mask.pixels[at] == 0) continue;
      const uint8_t* source = &photo.pixels[3 * at];
      const Linear before = {linear[source[0]], linear[source[1]], linear[source[2]]};
      Linear after;
      const Surroundings around =
          places[at] == Place::kWallEdge ? look_around(photo, places, row, column) : Surroundings{};
      if (around.known) {
        const float share = share_of_wall(before, around);
        Linear wall;
        for (size_t c = 0; c < 3; ++c) {
          wall[c] = std::max(0.0f, (before[c] - (1 - share) * around.outside[c]) / share);
        }
        const Linear painted = repaint(wall);
        for (size_t c = 0; c < 3; ++c) after[c] = before[c] + share * (painted[c] - wall[c]);
      } else {
        after = repaint(before);
      }
      for (size_t c = 0; c < 3; ++c) result.pixels[3 * at + c] = byte_of_linear(after[c]);
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
  constexpr float kFloor = 0.05f;
  const Linear old_paint = to_linear(from), new_paint = to_linear(to);
  const float old_luminance = std::max(luminance(old_paint[0], old_paint[1], old_paint[2]), 1e-4f);
  return repaint_mask(photo, mask, [&](const Linear& before) {
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
  return repaint_mask(photo, mask, [&](const Linear& before) {
    Lab lab = rgb_to_lab(
        {linear_to_srgb(before[0]), linear_to_srgb(before[1]), linear_to_srgb(before[2])});
    for (size_t axis = 0; axis < 3; ++axis) lab[axis] += new_paint[axis] - old_paint[axis];
    lab[0] = std::clamp(lab[0], 0.0f, 100.0f);
    return to_linear(lab_to_rgb(lab));
  });
}

Image recolor(const Image& photo, const Mask& mask, const Rgb& from, const Rgb& to) {
  return recolor_linear_ratio(photo, mask, from, to);
}

}  // namespace limewash::data
