#include <algorithm>
#include <stdexcept>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "data/color_tables.h"
#include "data/reference.h"

namespace limewash::data {
namespace {

constexpr uint8_t kMidGrey = 128;

/// Of the wall's pixels; 0 where there is none.
float median_luminance(const std::vector<float>& luminances, const Mask& wall) {
  std::vector<float> values;
  for (size_t i = 0; i < luminances.size(); ++i) {
    if (wall.pixels[i] != 0) values.push_back(luminances[i]);
  }
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Mask hole_mask(const ReferenceOptions& options, const Mask& mask) {
  if (options.hole_margin <= 0) return mask;
  Mask hole = mask;
  const int height = static_cast<int>(mask.height), width = static_cast<int>(mask.width);
  const int side = 2 * static_cast<int>(options.hole_margin) + 1;
  // OpenCV only reads through the first of these.
  const cv::Mat from(height, width, CV_8UC1, const_cast<uint8_t*>(mask.pixels.data()));
  cv::Mat to(height, width, CV_8UC1, hole.pixels.data());
  cv::dilate(from, to, cv::getStructuringElement(cv::MORPH_ELLIPSE, {side, side}));
  return hole;
}

Image fill_hole(const ReferenceOptions& options, const Image& photo, const Mask& mask) {
  if (photo.height != mask.height || photo.width != mask.width) {
    throw std::invalid_argument("fill_hole: photo and mask must be of one size");
  }
  // Darker and brighter light than this share of the median is cut off: deep shadow, lamps.
  constexpr float kDarkest = 0.1f, kBrightest = 2.2f;
  const Mask hole = hole_mask(options, mask);
  const bool shading = options.hole == "shading";
  const auto& linear = linear_of_byte();

  std::vector<float> luminances;
  float median = 0;
  if (shading) {
    luminances.resize(mask.pixels.size());
    for (size_t i = 0; i < luminances.size(); ++i) {
      const uint8_t* rgb = &photo.pixels[3 * i];
      luminances[i] = luminance(linear[rgb[0]], linear[rgb[1]], linear[rgb[2]]);
    }
    median = median_luminance(luminances, mask);
  }

  const float grey = srgb_to_linear(0.5f);
  Image filled = photo;
  for (size_t i = 0; i < hole.pixels.size(); ++i) {
    if (hole.pixels[i] == 0) continue;
    uint8_t value = kMidGrey;
    if (shading && median > 0) {
      value = byte_of_linear(grey * std::clamp(luminances[i] / median, kDarkest, kBrightest));
    }
    std::fill_n(&filled.pixels[3 * i], 3, value);
  }
  return filled;
}

}  // namespace limewash::data
