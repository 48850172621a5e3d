#include "eval/image_metrics.h"

#include <cmath>
#include <limits>
#include <numeric>

#include <nlohmann/json.hpp>

#include "eval/lpips.h"
#include "eval/size_text.h"
#include "runtime/error.h"

namespace limewash::eval {
namespace {

void check_sizes(const data::Image& a, const data::Image& b) {
  if (a.height == b.height && a.width == b.width) return;
  throw InputError("images to compare differ in size: " + size_text(a) + " and " + size_text(b));
}

/// A separable window, and what turns its covariances into those that SSIM is to take.
struct Window {
  int64_t radius;
  std::vector<double> weights;  ///< [2 radius + 1], of sum 1
  double covariance_scale;

  int64_t taps() const {
    return 2 * radius + 1;
  }
};

Window gaussian_window() {
  constexpr int64_t kRadius = 5;  // 3.5 sigma
  Window window{kRadius, {}, 1.0};
  double sum = 0;
  for (int64_t i = -kRadius; i <= kRadius; ++i) {
    const double distance = static_cast<double>(i) / 1.5;
    window.weights.push_back(std::exp(-0.5 * distance * distance));
    sum += window.weights.back();
  }
  for (double& weight : window.weights) weight /= sum;
  return window;
}

Window uniform_window() {
  constexpr int64_t kRadius = 3;
  constexpr double kPixels = (2 * kRadius + 1) * (2 * kRadius + 1);
  return {kRadius,
          std::vector<double>(2 * kRadius + 1, 1.0 / std::sqrt(kPixels)),
          kPixels / (kPixels - 1)};
}

const Window& window_of(SsimWindow kind) {
  static const Window gaussian = gaussian_window(), uniform = uniform_window();
  return kind == SsimWindow::kGaussian ? gaussian : uniform;
}

/// Filtered where the window fits; [height - 2 radius, width - 2 radius] row-major.
std::vector<double> filter(const std::vector<double>& plane,
                           int64_t height,
                           int64_t width,
                           const Window& window) {
  const int64_t inner_height = height - 2 * window.radius, inner_width = width - 2 * window.radius;
  std::vector<double> rows(inner_height * width, 0.0), result(inner_height * inner_width, 0.0);
  for (int64_t y = 0; y < inner_height; ++y) {
    double* out = &rows[y * width];
    for (int64_t tap = 0; tap < window.taps(); ++tap) {
      const double* in = &plane[(y + tap) * width];
      for (int64_t x = 0; x < width; ++x) out[x] += window.weights[tap] * in[x];
    }
  }
  for (int64_t y = 0; y < inner_height; ++y) {
    double* out = &result[y * inner_width];
    for (int64_t tap = 0; tap < window.taps(); ++tap) {
      const double* in = &rows[y * width + tap];
      for (int64_t x = 0; x < inner_width; ++x) out[x] += window.weights[tap] * in[x];
    }
  }
  return result;
}

std::vector<double> products(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> result(a.size());
  for (size_t i = 0; i < a.size(); ++i) result[i] = a[i] * b[i];
  return result;
}

std::vector<double> channel(const data::Image& image, int c) {
  std::vector<double> plane(image.height * image.width);
  for (size_t i = 0; i < plane.size(); ++i) plane[i] = image.pixels[3 * i + c];
  return plane;
}

nlohmann::json or_null(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

}  // namespace

std::optional<double> psnr(const data::Image& a, const data::Image& b, const Pixels& pixels) {
  check_sizes(a, b);
  int64_t sum = 0;
  for (const int64_t pixel : pixels) {
    for (int64_t i = 3 * pixel; i < 3 * pixel + 3; ++i) {
      const int64_t difference = int64_t{a.pixels[i]} - b.pixels[i];
      sum += difference * difference;
    }
  }
  if (sum == 0) return std::nullopt;
  const double error = static_cast<double>(sum) / static_cast<double>(3 * pixels.size());
  return 10.0 * std::log10(255.0 * 255.0 / error);
}

std::vector<double> ssim_map(const data::Image& a, const data::Image& b, SsimWindow kind) {
  check_sizes(a, b);
  constexpr double kC1 = (0.01 * 255) * (0.01 * 255), kC2 = (0.03 * 255) * (0.03 * 255);
  const Window& window = window_of(kind);
  const int64_t height = a.height, width = a.width, radius = window.radius;
  std::vector<double> map(height * width, std::numeric_limits<double>::quiet_NaN());
  if (height < window.taps() || width < window.taps()) return map;
  const int64_t inner_height = height - 2 * radius, inner_width = width - 2 * radius;
  std::vector<double> sums(inner_height * inner_width, 0.0);
  const auto filtered = [&](const std::vector<double>& plane) {
    return filter(plane, height, width, window);
  };
  for (int c = 0; c < 3; ++c) {
    const std::vector<double> x = channel(a, c), y = channel(b, c);
    const std::vector<double> mean_x = filtered(x), mean_y = filtered(y);
    const std::vector<double> xx = filtered(products(x, x)), yy = filtered(products(y, y));
    const std::vector<double> xy = filtered(products(x, y));
    for (size_t i = 0; i < sums.size(); ++i) {
      const double squares = mean_x[i] * mean_x[i] + mean_y[i] * mean_y[i];
      const double product = mean_x[i] * mean_y[i];
      const double variances = window.covariance_scale * (xx[i] + yy[i] - squares);
      const double covariance = window.covariance_scale * (xy[i] - product);
      sums[i] +=
          (2 * product + kC1) * (2 * covariance + kC2) / ((squares + kC1) * (variances + kC2));
    }
  }
  for (int64_t y = 0; y < inner_height; ++y) {
    for (int64_t x = 0; x < inner_width; ++x) {
      map[(y + radius) * width + x + radius] = sums[y * inner_width + x] / 3.0;
    }
  }
  return map;
}

std::optional<double> ssim(const data::Image& a,
                           const data::Image& b,
                           const Pixels& pixels,
                           SsimWindow window) {
  const std::vector<double> map = ssim_map(a, b, window);
  double sum = 0;
  int64_t count = 0;
  for (const int64_t pixel : pixels) {
    if (std::isnan(map[pixel])) continue;
    sum += map[pixel];
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

ImageDifference compare_images(const data::Image& a,
                               const data::Image& b,
                               const data::Mask* mask,
                               const Lpips* lpips) {
  check_sizes(a, b);
  if (mask != nullptr && (mask->height != a.height || mask->width != a.width)) {
    throw InputError("the mask is " + size_text(*mask) + ", the images are " + size_text(a));
  }
  Pixels pixels;
  if (mask != nullptr) {
    pixels = inside(*mask);
  } else {
    pixels.resize(a.height * a.width);
    std::iota(pixels.begin(), pixels.end(), int64_t{0});
  }
  ImageDifference result;
  if (pixels.empty()) return result;
  const LabImage lab_a = to_lab(a), lab_b = to_lab(b);
  double sum_76 = 0, sum_2000 = 0;
  for (const int64_t pixel : pixels)
    sum_76 += data::delta_e_76(lab_a.pixels[pixel], lab_b.pixels[pixel]);
  for (const double value : delta_e_2000(lab_a, pixels, lab_b)) sum_2000 += value;
  result.delta_e_76_mean = sum_76 / static_cast<double>(pixels.size());
  result.delta_e_2000_mean = sum_2000 / static_cast<double>(pixels.size());
  result.psnr = psnr(a, b, pixels);
  result.ssim = ssim(a, b, pixels);
  result.ssim_uniform = ssim(a, b, pixels, SsimWindow::kUniform);
  if (lpips != nullptr) {
    result.lpips = mask == nullptr ? lpips->distance(a, b) : lpips->distance(a, b, pixels);
  }
  return result;
}

nlohmann::json to_json(const ImageDifference& difference) {
  return {{"delta_e_76_mean", or_null(difference.delta_e_76_mean)},
          {"delta_e_2000_mean", or_null(difference.delta_e_2000_mean)},
          {"psnr", or_null(difference.psnr)},
          {"ssim", or_null(difference.ssim)},
          {"ssim_uniform", or_null(difference.ssim_uniform)},
          {"lpips", or_null(difference.lpips)}};
}

}  // namespace limewash::eval
