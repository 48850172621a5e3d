#include "data/mask.h"

#include <algorithm>
#include <array>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace limewash::data {
namespace {

constexpr uint8_t kHighlight = 250;
constexpr uint8_t kDeepShadow = 10;

using Histogram = std::array<int64_t, 256>;

/// The value that stands at `position` of the sorted values.
int value_at(const Histogram& histogram, int64_t position) {
  int value = 0;
  for (int64_t below = histogram[0]; below <= position;
       below += histogram[static_cast<size_t>(value)])
    ++value;
  return value;
}

float median(const Histogram& histogram, int64_t count) {
  const int low = value_at(histogram, (count - 1) / 2), high = value_at(histogram, count / 2);
  return static_cast<float>(low + high) / 2.0f / 255.0f;
}

}  // namespace

Mask erode(const Mask& mask, int64_t kernel, int64_t iterations) {
  if (iterations == 0 || kernel <= 1) return mask;
  const auto height = static_cast<int>(mask.height), width = static_cast<int>(mask.width);
  const cv::Mat source(height, width, CV_8U, const_cast<uint8_t*>(mask.pixels.data()));
  Mask core{mask.height, mask.width, std::vector<uint8_t>(mask.pixels.size())};
  cv::Mat target(height, width, CV_8U, core.pixels.data());
  // Erosions by squares add up to one erosion by a larger square.
  const auto side = static_cast<int>((kernel - 1) * iterations + 1);
  cv::erode(source, target, cv::Mat::ones(side, side, CV_8U));
  return core;
}

double wall_share(const Mask& mask) {
  if (mask.pixels.empty()) return 0;
  const auto wall =
      std::count_if(mask.pixels.begin(), mask.pixels.end(), [](uint8_t v) { return v != 0; });
  return static_cast<double>(wall) / static_cast<double>(mask.pixels.size());
}

std::optional<Rgb> median_color(const Image& photo, const Mask& core) {
  std::array<Histogram, 3> all{}, moderate{};
  int64_t all_count = 0, moderate_count = 0;
  for (size_t i = 0; i < core.pixels.size(); ++i) {
    if (core.pixels[i] == 0) continue;
    const uint8_t* pixel = &photo.pixels[i * 3];
    const auto [darkest, brightest] = std::minmax({pixel[0], pixel[1], pixel[2]});
    const bool extreme = darkest >= kHighlight || brightest <= kDeepShadow;
    for (size_t c = 0; c < 3; ++c) {
      ++all[c][pixel[c]];
      if (!extreme) ++moderate[c][pixel[c]];
    }
    ++all_count;
    if (!extreme) ++moderate_count;
  }
  if (all_count == 0) return std::nullopt;
  const bool keep_all = 2 * moderate_count < all_count;
  const auto& histograms = keep_all ? all : moderate;
  const int64_t count = keep_all ? all_count : moderate_count;
  return Rgb{
      median(histograms[0], count), median(histograms[1], count), median(histograms[2], count)};
}

}  // namespace limewash::data
