#include "data/mask_boundary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace limewash::data {
namespace {

constexpr double kSmoothing = 0.02;
constexpr double kBandShare = 0.05;
constexpr int kClosePixels = 2;
constexpr size_t kBins = 512;
constexpr float kBinsPerUnit = 8;

using Histogram = std::array<int64_t, kBins>;

/// Sides between pixels of different value.
int64_t boundary_length(const cv::Mat& mask) {
  int64_t sides = 0;
  for (int y = 0; y < mask.rows; ++y) {
    const uint8_t* row = mask.ptr<uint8_t>(y);
    const uint8_t* below = y + 1 < mask.rows ? mask.ptr<uint8_t>(y + 1) : row;
    for (int x = 0; x < mask.cols; ++x) {
      sides += row[x] != below[x];
      sides += x + 1 < mask.cols && row[x] != row[x + 1];
    }
  }
  return sides;
}

/// The greater Lab difference of a pixel's neighbours, left to right and top to bottom.
cv::Mat differences(const cv::Mat& lab) {
  cv::Mat result(lab.size(), CV_32F, cv::Scalar(0));
  for (int y = 0; y < lab.rows; ++y) {
    const auto* above = lab.ptr<cv::Vec3f>(std::max(y - 1, 0));
    const auto* row = lab.ptr<cv::Vec3f>(y);
    const auto* below = lab.ptr<cv::Vec3f>(std::min(y + 1, lab.rows - 1));
    auto* out = result.ptr<float>(y);
    for (int x = 0; x < lab.cols; ++x) {
      const cv::Vec3f across = row[std::min(x + 1, lab.cols - 1)] - row[std::max(x - 1, 0)],
                      down = below[x] - above[x];
      out[x] = std::sqrt(std::max(across.dot(across), down.dot(down)));
    }
  }
  return result;
}

/// How likely a value of `left` is above one of `right`; equal ones count half.
double probability_of_more(const Histogram& left, const Histogram& right) {
  double more = 0, below = 0, left_count = 0;
  for (size_t bin = 0; bin < kBins; ++bin) {
    more += static_cast<double>(left[bin]) * (below + 0.5 * static_cast<double>(right[bin]));
    below += static_cast<double>(right[bin]);
    left_count += static_cast<double>(left[bin]);
  }
  return left_count * below > 0 ? more / (left_count * below) : 0.5;
}

/// Pixels of the mask that touch others, and the others.
cv::Mat boundary_pixels(const cv::Mat& mask) {
  cv::Mat grown, shrunk;
  const cv::Mat cross = cv::getStructuringElement(cv::MORPH_CROSS, {3, 3});
  cv::dilate(mask, grown, cross);
  cv::erode(mask, shrunk, cross);
  return grown & ~shrunk;
}

int pixels_of(double length) {
  return std::max(kClosePixels + 2, static_cast<int>(std::lround(length)));
}

/// All that lies within a square of `radius` pixels around a pixel that is set.
cv::Mat around(const cv::Mat& set, int radius) {
  cv::Mat grown;
  cv::dilate(set, grown, cv::Mat::ones(2 * radius + 1, 2 * radius + 1, CV_8U));
  return grown;
}

}  // namespace

float boundary_roughness(const QualityPicture& picture) {
  const int64_t before = boundary_length(picture.mask);
  if (before == 0) return 1;
  const double sigma =
      std::max(0.5, kSmoothing * std::sqrt(static_cast<double>(cv::countNonZero(picture.mask))));
  cv::Mat soft;
  cv::GaussianBlur(picture.mask, soft, {0, 0}, sigma, 0, cv::BORDER_REPLICATE);
  const int64_t after = boundary_length(soft > 127);
  return static_cast<float>(
      std::min(1.0, static_cast<double>(after) / static_cast<double>(before)));
}

float edge_agreement(const QualityPicture& picture) {
  const cv::Mat boundary = boundary_pixels(picture.mask);
  if (cv::countNonZero(boundary) == 0) return 1;
  cv::Mat strongest;
  cv::dilate(differences(picture.lab), strongest, cv::Mat::ones(3, 3, CV_8U));
  const cv::Mat band =
      around(boundary, pixels_of(kBandShare * picture.side())) & ~around(boundary, kClosePixels);
  Histogram at_boundary{}, beside{};
  for (int y = 0; y < strongest.rows; ++y) {
    const auto* values = strongest.ptr<float>(y);
    const auto* on_boundary = boundary.ptr<uint8_t>(y);
    const auto* in_band = band.ptr<uint8_t>(y);
    for (int x = 0; x < strongest.cols; ++x) {
      const auto bin =
          static_cast<size_t>(std::min(values[x] * kBinsPerUnit, static_cast<float>(kBins - 1)));
      if (in_band[x] != 0) ++beside[bin];
      if (on_boundary[x] != 0) ++at_boundary[bin];
    }
  }
  return static_cast<float>(std::clamp(2 * probability_of_more(at_boundary, beside) - 1, 0.0, 1.0));
}

}  // namespace limewash::data
