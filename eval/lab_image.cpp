#include "eval/lab_image.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace limewash::eval {
namespace {

/// IEC 61966-2-1, of the 256 bytes.
const std::array<double, 256>& linear_of_byte() {
  static const std::array<double, 256> table = [] {
    std::array<double, 256> values{};
    for (size_t byte = 0; byte < values.size(); ++byte) {
      const double value = static_cast<double>(byte) / 255;
      values[byte] = value > 0.04045 ? std::pow((value + 0.055) / 1.055, 2.4) : value / 12.92;
    }
    return values;
  }();
  return table;
}

/// f(t) of CIELAB with scikit-image's constants.
double lightness_curve(double ratio) {
  return ratio > 0.008856 ? std::cbrt(ratio) : 7.787 * ratio + 16.0 / 116.0;
}

/// In double: float's rounding would turn the hue of a near-grey by more than 1e-4 degrees.
data::Lab lab_of_bytes(const uint8_t* rgb) {
  const auto& linear = linear_of_byte();
  const double r = linear[rgb[0]], g = linear[rgb[1]], b = linear[rgb[2]];
  // Rows of the sRGB to XYZ matrix, over the white point D65/2 degrees.
  const double x = lightness_curve((0.412453 * r + 0.357580 * g + 0.180423 * b) / 0.95047);
  const double y = lightness_curve(0.212671 * r + 0.715160 * g + 0.072169 * b);
  const double z = lightness_curve((0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.08883);
  return {static_cast<float>(116 * y - 16),
          static_cast<float>(500 * (x - y)),
          static_cast<float>(200 * (y - z))};
}

}  // namespace

LabImage to_lab(const data::Image& image) {
  LabImage lab{image.height, image.width, {}};
  lab.pixels.resize(static_cast<size_t>(image.height * image.width));
  const uint8_t* bytes = image.pixels.data();
  for (data::Lab& pixel : lab.pixels) {
    pixel = lab_of_bytes(bytes);
    bytes += 3;
  }
  return lab;
}

data::Lab to_lab(const data::Rgb& color) {
  uint8_t bytes[3];
  for (size_t c = 0; c < 3; ++c) {
    const float value = color[c] * 255;
    const float nearest = std::clamp(std::round(value), 0.0f, 255.0f);
    if (!(std::abs(value - nearest) < 1e-4f)) return data::rgb_to_lab(color);
    bytes[c] = static_cast<uint8_t>(nearest);
  }
  return lab_of_bytes(bytes);
}

data::Lab robust_mean(const data::Image& image) {
  Pixels all(static_cast<size_t>(image.height * image.width));
  std::iota(all.begin(), all.end(), int64_t{0});
  return robust_mean(to_lab(image), all);
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
