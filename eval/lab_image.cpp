#include "eval/lab_image.h"

#include <algorithm>
#include <cmath>

#include "data/color_tables.h"

namespace limewash::eval {
namespace {

/// f(t) of CIELAB with scikit-image's constants.
float lightness_curve(float ratio) {
  return ratio > 0.008856f ? std::cbrt(ratio) : 7.787f * ratio + 16.0f / 116.0f;
}

}  // namespace

LabImage to_lab(const data::Image& image) {
  const auto& linear = data::linear_of_byte();
  LabImage lab{image.height, image.width, {}};
  lab.pixels.resize(static_cast<size_t>(image.height * image.width));
  const uint8_t* bytes = image.pixels.data();
  for (data::Lab& pixel : lab.pixels) {
    const float r = linear[bytes[0]], g = linear[bytes[1]], b = linear[bytes[2]];
    bytes += 3;
    // Rows of the sRGB to XYZ matrix, over the white point D65/2 degrees.
    const float x = lightness_curve((0.412453f * r + 0.357580f * g + 0.180423f * b) / 0.95047f);
    const float y = lightness_curve(0.212671f * r + 0.715160f * g + 0.072169f * b);
    const float z = lightness_curve((0.019334f * r + 0.119193f * g + 0.950227f * b) / 1.08883f);
    pixel = {116.0f * y - 16.0f, 500.0f * (x - y), 200.0f * (y - z)};
  }
  return lab;
}

Pixels inside(const data::Mask& mask) {
  Pixels pixels;
  for (size_t i = 0; i < mask.pixels.size(); ++i) {
    if (mask.pixels[i] >= 128) pixels.push_back(static_cast<int64_t>(i));
  }
  return pixels;
}

Regions split_regions(const data::Mask& wall, int64_t ring) {
  // How near the wall is along the row, then the columns of that: a square neighbourhood in two
  // passes.
  const int64_t height = wall.height, width = wall.width;
  const auto dilate = [&](const std::vector<uint8_t>& from,
                          int64_t length,
                          int64_t step,
                          int64_t lines,
                          int64_t line_step) {
    std::vector<uint8_t> to(from.size(), 0);
    for (int64_t line = 0; line < lines; ++line) {
      int64_t until = -1;  // painted up to here
      for (int64_t i = 0; i < length; ++i) {
        if (from[line * line_step + i * step] < 128) continue;
        const int64_t end = std::min(length - 1, i + ring);
        for (int64_t j = std::max({int64_t{0}, i - ring, until + 1}); j <= end; ++j) {
          to[line * line_step + j * step] = 255;
        }
        until = end;
      }
    }
    return to;
  };
  const std::vector<uint8_t> near =
      dilate(dilate(wall.pixels, width, 1, height, width), height, width, width, 1);
  Regions regions;
  for (int64_t i = 0; i < height * width; ++i) {
    (wall.pixels[i] >= 128 ? regions.hole
     : near[i] >= 128      ? regions.ring
                           : regions.outside)
        .push_back(i);
  }
  return regions;
}

std::vector<double> delta_e_2000(const LabImage& image,
                                 const Pixels& pixels,
                                 const data::Lab& color) {
  std::vector<double> values;
  values.reserve(pixels.size());
  for (const int64_t i : pixels) values.push_back(data::delta_e_2000(image.pixels[i], color));
  return values;
}

std::vector<double> delta_e_2000(const LabImage& image,
                                 const Pixels& pixels,
                                 const LabImage& other) {
  std::vector<double> values;
  values.reserve(pixels.size());
  for (const int64_t i : pixels) {
    const data::Lab &a = image.pixels[i], &b = other.pixels[i];
    values.push_back(a == b ? 0.0 : data::delta_e_2000(a, b));
  }
  return values;
}

data::Lab robust_mean(const LabImage& image, const Pixels& pixels) {
  data::Lab result{};
  std::vector<float> values(pixels.size());
  for (int axis = 0; axis < 3; ++axis) {
    for (size_t i = 0; i < pixels.size(); ++i) values[i] = image.pixels[pixels[i]][axis];
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    result[axis] = *middle;
    if (values.size() % 2 == 0) {
      result[axis] = 0.5f * (result[axis] + *std::max_element(values.begin(), middle));
    }
  }
  return result;
}

}  // namespace limewash::eval
