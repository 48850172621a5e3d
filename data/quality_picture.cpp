#include "data/quality_picture.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "data/color_tables.h"

namespace limewash::data {
namespace {

constexpr size_t kSteps = 4096;

/// CIELAB's f: the cube root, linear near zero; of multiples of 1 / kSteps up to 1, and one more.
const std::array<float, kSteps + 2>& cube_roots() {
  static const auto table = [] {
    std::array<float, kSteps + 2> roots{};
    for (size_t i = 0; i < roots.size(); ++i) {
      const double t = static_cast<double>(i) / kSteps;
      roots[i] =
          static_cast<float>(t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116);
    }
    return roots;
  }();
  return table;
}

float cube_root(float t) {
  const float position = std::clamp(t, 0.0f, 1.0f) * kSteps;
  const auto below = static_cast<size_t>(position);
  const auto& roots = cube_roots();
  return roots[below] + (roots[below + 1] - roots[below]) * (position - static_cast<float>(below));
}

/// Good to 0.1; data/color.h is exact, and slower.
cv::Vec3f lab_of(const uint8_t* rgb) {
  const auto& linear = linear_of_byte();
  const float r = linear[rgb[0]], g = linear[rgb[1]], b = linear[rgb[2]];
  const float x = cube_root(0.433953f * r + 0.376219f * g + 0.189828f * b),
              y = cube_root(0.212671f * r + 0.715160f * g + 0.072169f * b),
              z = cube_root(0.017758f * r + 0.109477f * g + 0.872766f * b);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

cv::Mat scaled(const cv::Mat& picture, const cv::Size& size) {
  if (picture.size() == size) return picture;
  cv::Mat small;
  cv::resize(picture, small, size, 0, 0, cv::INTER_AREA);
  return small;
}

template <class Pixels>
cv::Mat view(const Pixels& picture, int type) {
  return {static_cast<int>(picture.height),
          static_cast<int>(picture.width),
          type,
          const_cast<uint8_t*>(picture.pixels.data())};
}

}  // namespace

QualityPicture::QualityPicture(const Image& photo, const Mask& wall, const Mask& wall_core) {
  const double factor = std::min(
      1.0,
      static_cast<double>(kQualitySide) / static_cast<double>(std::max(photo.height, photo.width)));
  const auto length = [&](int64_t side) {
    return std::max(1, static_cast<int>(std::lround(factor * static_cast<double>(side))));
  };
  const cv::Size size(length(photo.width), length(photo.height));
  mask = scaled(view(wall, CV_8U), size) > 127;
  core = scaled(view(wall_core, CV_8U), size) > 127;
  cv::Mat smooth;
  cv::GaussianBlur(scaled(view(photo, CV_8UC3), size), smooth, {3, 3}, 0);
  lab.create(size, CV_32FC3);
  for (int y = 0; y < size.height; ++y) {
    const uint8_t* rgb = smooth.ptr<uint8_t>(y);
    auto* out = lab.ptr<cv::Vec3f>(y);
    for (int x = 0; x < size.width; ++x) out[x] = lab_of(rgb + 3 * x);
  }
}

double QualityPicture::side() const {
  return std::sqrt(static_cast<double>(height()) * width());
}

std::array<float, 2> chroma_without_light(const cv::Vec3f& lab) {
  const float factor = 66 / (std::max(lab[0], 0.0f) + 16);
  return {lab[1] * factor, lab[2] * factor};
}

}  // namespace limewash::data
