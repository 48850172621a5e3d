#include "eval/mask_metrics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <nlohmann/json.hpp>

#include "eval/lab_image.h"
#include "eval/size_text.h"
#include "runtime/error.h"

namespace limewash::eval {
namespace {

constexpr double kToleranceOfDiagonal = 0.008;

bool is_set(const data::Mask& mask, int64_t y, int64_t x) {
  return mask.pixels[y * mask.width + x] >= 128;
}

Pixels boundary(const data::Mask& mask) {
  Pixels pixels;
  for (int64_t y = 0; y < mask.height; ++y) {
    const int64_t below = std::min(y + 1, mask.height - 1);
    for (int64_t x = 0; x < mask.width; ++x) {
      const int64_t right = std::min(x + 1, mask.width - 1);
      const bool here = is_set(mask, y, x);
      if (here != is_set(mask, y, right) || here != is_set(mask, below, x) ||
          here != is_set(mask, below, right)) {
        pixels.push_back(y * mask.width + x);
      }
    }
  }
  return pixels;
}

/// For each pixel how far the nearest one of `pixels` in its row is; `none` where there is none.
std::vector<int32_t> distance_in_row(const Pixels& pixels,
                                     int64_t height,
                                     int64_t width,
                                     int32_t none) {
  std::vector<int32_t> distance(height * width, none);
  for (const int64_t pixel : pixels) distance[pixel] = 0;
  for (int64_t y = 0; y < height; ++y) {
    int32_t* row = &distance[y * width];
    for (int64_t x = 1; x < width; ++x) row[x] = std::min(row[x], row[x - 1] + 1);
    for (int64_t x = width - 2; x >= 0; --x) row[x] = std::min(row[x], row[x + 1] + 1);
  }
  return distance;
}

/// The share of `pixels` that have one of `others` within a disc of `radius`; missing without
/// pixels.
std::optional<double> share_near(
    const Pixels& pixels, const Pixels& others, int64_t height, int64_t width, int64_t radius) {
  if (pixels.empty()) return std::nullopt;
  // Above any radius: a picture has at most 10^8 pixels.
  constexpr int32_t kNone = 1 << 30;
  const std::vector<int32_t> in_row = distance_in_row(others, height, width, kNone);
  const auto is_near = [&](int64_t pixel) {
    const int64_t y = pixel / width, x = pixel % width;
    const int64_t end = std::min(height - 1, y + radius);
    for (int64_t row = std::max<int64_t>(0, y - radius); row <= end; ++row) {
      const int64_t across = in_row[row * width + x], down = row - y;
      if (across <= radius && across * across + down * down <= radius * radius) return true;
    }
    return false;
  };
  const auto near = std::count_if(pixels.begin(), pixels.end(), is_near);
  return static_cast<double>(near) / static_cast<double>(pixels.size());
}

std::optional<double> intersection_over_union(const data::Mask& a, const data::Mask& b) {
  int64_t both = 0, either = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const bool in_a = a.pixels[i] >= 128, in_b = b.pixels[i] >= 128;
    both += in_a && in_b;
    either += in_a || in_b;
  }
  if (either == 0) return std::nullopt;
  return static_cast<double>(both) / static_cast<double>(either);
}

std::optional<double> harmonic_mean(const std::optional<double>& precision,
                                    const std::optional<double>& recall) {
  if (!precision && !recall) return std::nullopt;
  if (!precision || !recall || *precision + *recall == 0) return 0.0;
  return 2 * *precision * *recall / (*precision + *recall);
}

}  // namespace

MaskAgreement compare_masks(const data::Mask& mask, const data::Mask& truth) {
  if (mask.height != truth.height || mask.width != truth.width) {
    throw InputError("masks to compare differ in size: " + size_text(mask) + " and " +
                     size_text(truth));
  }
  const int64_t height = mask.height, width = mask.width;
  MaskAgreement result;
  result.iou = intersection_over_union(mask, truth);
  result.boundary_tolerance = static_cast<int64_t>(std::ceil(
      kToleranceOfDiagonal * std::hypot(static_cast<double>(height), static_cast<double>(width))));
  const Pixels found = boundary(mask), wanted = boundary(truth);
  result.boundary_precision = share_near(found, wanted, height, width, result.boundary_tolerance);
  result.boundary_recall = share_near(wanted, found, height, width, result.boundary_tolerance);
  result.boundary_f = harmonic_mean(result.boundary_precision, result.boundary_recall);
  return result;
}

nlohmann::ordered_json to_json(const MaskAgreement& agreement) {
  const auto or_null = [](const std::optional<double>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
  };
  return {{"iou", or_null(agreement.iou)},
          {"boundary_f", or_null(agreement.boundary_f)},
          {"boundary_precision", or_null(agreement.boundary_precision)},
          {"boundary_recall", or_null(agreement.boundary_recall)},
          {"boundary_tolerance", agreement.boundary_tolerance}};
}

}  // namespace limewash::eval
