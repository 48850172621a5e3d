#include "eval/color_metrics.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "eval/edge_error.h"
#include "eval/image_metrics.h"
#include "eval/perceptual_networks.h"

namespace limewash::eval {
namespace {

std::optional<double> mean(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double chroma(const data::Lab& lab) {
  return std::hypot(lab[1], lab[2]);
}

/// L of the pixels of `hole`, smoothed with their neighbours in the hole: a normalised convolution,
/// so that nothing outside takes part.
std::vector<double> low_pass(const LabImage& image, const Pixels& hole) {
  const int64_t height = image.height, width = image.width;
  const double sigma = static_cast<double>(std::max(height, width)) / 64.0;
  const int64_t radius = std::max<int64_t>(1, std::llround(3 * sigma));
  std::vector<float> kernel;
  for (int64_t i = -radius; i <= radius; ++i) {
    const double distance = static_cast<double>(i) / sigma;
    kernel.push_back(static_cast<float>(std::exp(-0.5 * distance * distance)));
  }
  std::vector<float> value(height * width, 0.0f), weight(height * width, 0.0f);
  for (const int64_t i : hole) {
    value[i] = image.pixels[i][0];
    weight[i] = 1.0f;
  }
  const auto blur = [&](std::vector<float>& plane) {
    std::vector<float> rows(plane.size(), 0.0f), columns(plane.size(), 0.0f);
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t tap = -radius; tap <= radius; ++tap) {
        if (y + tap < 0 || y + tap >= height) continue;
        const float* in = &plane[(y + tap) * width];
        float* out = &rows[y * width];
        for (int64_t x = 0; x < width; ++x) out[x] += kernel[tap + radius] * in[x];
      }
    }
    for (int64_t y = 0; y < height; ++y) {
      const float* in = &rows[y * width];
      float* out = &columns[y * width];
      for (int64_t tap = -radius; tap <= radius; ++tap) {
        const int64_t begin = std::max<int64_t>(0, -tap), end = std::min(width, width - tap);
        for (int64_t x = begin; x < end; ++x) out[x] += kernel[tap + radius] * in[x + tap];
      }
    }
    plane = std::move(columns);
  };
  blur(value);
  blur(weight);
  std::vector<double> result;
  result.reserve(hole.size());
  for (const int64_t i : hole) result.push_back(double{value[i]} / double{weight[i]});
  return result;
}

/// The painting with the source's pixels wherever it is not outside, so that no window of SSIM and
/// no feature of LPIPS sees the hole.
data::Image only_outside(const data::Image& output,
                         const data::Image& source,
                         const Pixels& outside) {
  data::Image result = source;
  for (const int64_t i : outside) {
    std::copy_n(output.pixels.begin() + 3 * i, 3, result.pixels.begin() + 3 * i);
  }
  return result;
}

/// Every name, missing: what a painting gets that is not there.
Metrics all_missing() {
  Metrics metrics;
  for (const char* name : {"delta_e_2000",         "delta_e_76",
                           "lab_distance",         "delta_e_2000_pixel",
                           "delta_e_2000_p05",     "delta_e_2000_p25",
                           "delta_e_2000_p75",     "delta_e_2000_p95",
                           "delta_e_2000_exact",   "hue_error",
                           "lightness_difference", "chroma_difference",
                           "shading_fidelity",     "clip_similarity",
                           "psnr_outside",         "ssim_outside",
                           "lpips_outside",        "delta_e_2000_outside",
                           "edge_bleed",           "edge_error"}) {
    metrics.add(name, std::nullopt);
  }
  return metrics;
}

void set(Metrics& metrics, const std::string& name, std::optional<double> value) {
  if (value && !std::isfinite(*value)) value.reset();
  for (auto& [key, slot] : metrics.values) {
    if (key == name) slot = value;
  }
}

}  // namespace

std::optional<double> hue_error(const data::Lab& a, const data::Lab& b) {
  if (chroma(a) < kLeastChroma || chroma(b) < kLeastChroma) return std::nullopt;
  const double difference = std::atan2(a[2], a[1]) - std::atan2(b[2], b[1]);
  // The remainder lies in [-pi, pi], on whichever side of the circle's seam the hues are.
  return std::abs(std::remainder(difference, 2 * std::numbers::pi)) * 180.0 / std::numbers::pi;
}

void add_color_metrics(Metrics& metrics,
                       const LabImage& image,
                       const Pixels& core,
                       const data::Lab& reference) {
  std::optional<double> delta_e_2000_of_mean, delta_e_76, hue, lightness, chroma_gap;
  std::vector<double> pixels;
  if (!core.empty()) {
    const data::Lab region = robust_mean(image, core);
    delta_e_2000_of_mean = data::delta_e_2000(region, reference);
    delta_e_76 = data::delta_e_76(region, reference);
    hue = hue_error(region, reference);
    lightness = std::abs(double{region[0]} - reference[0]);
    chroma_gap = std::abs(chroma(region) - chroma(reference));
    pixels = delta_e_2000(image, core, reference);
  }
  metrics.add("delta_e_2000", delta_e_2000_of_mean);
  metrics.add("delta_e_76", delta_e_76);
  metrics.add("lab_distance", delta_e_76);
  metrics.add("delta_e_2000_pixel", quantile(pixels, 0.5));
  metrics.add("delta_e_2000_p05", quantile(pixels, 0.05));
  metrics.add("delta_e_2000_p25", quantile(pixels, 0.25));
  metrics.add("delta_e_2000_p75", quantile(pixels, 0.75));
  metrics.add("delta_e_2000_p95", quantile(pixels, 0.95));
  metrics.add("hue_error", hue);
  metrics.add("lightness_difference", lightness);
  metrics.add("chroma_difference", chroma_gap);
}

std::optional<double> shading_fidelity(const LabImage& image,
                                       const LabImage& truth,
                                       const Pixels& hole) {
  if (hole.size() < 2) return std::nullopt;
  const std::vector<double> x = low_pass(image, hole), y = low_pass(truth, hole);
  const double mean_x = *mean(x), mean_y = *mean(y);
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  const double least = 0.01 * 0.01 * static_cast<double>(x.size());
  if (xx < least || yy < least) return std::nullopt;
  return xy / std::sqrt(xx * yy);
}

Metrics measure_painting(const Painting& painting, PerceptualNetworks* networks) {
  Metrics metrics = all_missing();
  if (painting.output.pixels.empty()) return metrics;
  const LabImage output = to_lab(painting.output), source = to_lab(painting.source);
  const Regions regions = split_regions(painting.wall);

  Metrics colors;
  const data::Lab reference =
      painting.reference != nullptr ? robust_mean(*painting.reference) : to_lab(painting.asked);
  add_color_metrics(colors, output, inside(painting.core), reference);
  for (const auto& [name, value] : colors.values) set(metrics, name, value);
  if (painting.exact != nullptr) {
    const LabImage exact = to_lab(*painting.exact);
    set(metrics, "delta_e_2000_exact", mean(delta_e_2000(output, regions.hole, exact)));
    set(metrics, "shading_fidelity", shading_fidelity(output, exact, regions.hole));
    set(metrics, "edge_error", edge_error(output, exact, painting.wall));
  } else {
    set(metrics, "shading_fidelity", shading_fidelity(output, source, regions.hole));
  }
  set(metrics, "psnr_outside", psnr(painting.output, painting.source, regions.outside));
  const data::Image surroundings = only_outside(painting.output, painting.source, regions.outside);
  set(metrics, "ssim_outside", ssim(surroundings, painting.source, regions.outside));
  if (networks != nullptr) {
    set(metrics, "lpips_outside", networks->lpips(surroundings, painting.source, regions.outside));
    set(metrics,
        "clip_similarity",
        networks->clip_similarity(
            painting.output, painting.wall, painting.asked, painting.reference));
  }
  set(metrics, "delta_e_2000_outside", mean(delta_e_2000(output, regions.outside, source)));
  set(metrics, "edge_bleed", mean(delta_e_2000(output, regions.ring, source)));
  return metrics;
}

Metrics measure_color(const data::Image& image,
                      const data::Mask& core,
                      const data::Lab& reference) {
  Metrics metrics;
  add_color_metrics(metrics, to_lab(image), inside(core), reference);
  return metrics;
}

}  // namespace limewash::eval
