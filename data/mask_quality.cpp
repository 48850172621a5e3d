#include "data/mask_quality.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "data/color.h"
#include "data/mask.h"
#include "runtime/random.h"

namespace limewash::data {
namespace {

constexpr size_t kMaxPixels = 10000;
constexpr size_t kLargestPieces = 4;
constexpr double kHueDistanceScale = 20;
constexpr int kLloydIterations = 20;

/// The core's colours, every n-th pixel from a drawn start where there are too many.
std::vector<Rgb> core_pixels(const Image& photo,
                             const Mask& core,
                             uint64_t seed,
                             uint64_t sample_id) {
  const auto count = static_cast<size_t>(
      std::count_if(core.pixels.begin(), core.pixels.end(), [](uint8_t v) { return v != 0; }));
  const size_t stride = (count + kMaxPixels - 1) / kMaxPixels;
  size_t skip =
      stride > 1 ? RandomStream(seed, Purpose::kInitialization, 0, sample_id).below(stride) : 0;
  std::vector<Rgb> pixels;
  pixels.reserve(std::min(count, kMaxPixels + 1));
  for (size_t i = 0; i < core.pixels.size(); ++i) {
    if (core.pixels[i] == 0) continue;
    if (skip > 0) {
      --skip;
      continue;
    }
    skip = stride - 1;
    const uint8_t* pixel = &photo.pixels[i * 3];
    pixels.push_back({static_cast<float>(pixel[0]) / 255.0f,
                      static_cast<float>(pixel[1]) / 255.0f,
                      static_cast<float>(pixel[2]) / 255.0f});
  }
  return pixels;
}

float median_of(std::vector<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

float share_part(double share, double low, double high) {
  const double above = low > 0 ? share / (2 * low) : 1,
               below = high < 1 ? (1 - share) / (2 * (1 - high)) : 1;
  return static_cast<float>(std::clamp(std::min(above, below), 0.0, 1.0));
}

float pieces_part(const Mask& mask) {
  const cv::Mat wall(static_cast<int>(mask.height),
                     static_cast<int>(mask.width),
                     CV_8U,
                     const_cast<uint8_t*>(mask.pixels.data()));
  cv::Mat labels, statistics, centroids;
  const int pieces =
      cv::connectedComponentsWithStats(wall, labels, statistics, centroids, 8, CV_32S);
  std::vector<int64_t> areas;
  for (int i = 1; i < pieces; ++i) areas.push_back(statistics.at<int>(i, cv::CC_STAT_AREA));
  if (areas.empty()) return 0;
  std::sort(areas.begin(), areas.end(), std::greater<>());
  const auto total = std::accumulate(areas.begin(), areas.end(), int64_t{0});
  areas.resize(std::min(areas.size(), kLargestPieces));
  const auto largest = std::accumulate(areas.begin(), areas.end(), int64_t{0});
  return static_cast<float>(static_cast<double>(largest) / static_cast<double>(total));
}

float homogeneity_part(const std::vector<Rgb>& pixels) {
  if (pixels.empty()) return 0;
  std::vector<float> a, b, distances;
  for (const Rgb& pixel : pixels) {
    const Lab lab = rgb_to_lab(pixel);
    a.push_back(lab[1]);
    b.push_back(lab[2]);
  }
  const float middle_a = median_of(a), middle_b = median_of(b);
  for (size_t i = 0; i < a.size(); ++i)
    distances.push_back(std::hypot(a[i] - middle_a, b[i] - middle_b));
  return static_cast<float>(std::exp(-median_of(distances) / kHueDistanceScale));
}

float luminance(const Rgb& rgb) {
  return 0.2126f * rgb[0] + 0.7152f * rgb[1] + 0.0722f * rgb[2];
}

struct Cluster {
  std::array<double, 3> center{};
  int64_t members = 0;
};

/// One step of Lloyd's algorithm; returns whether a centre moved. An empty cluster stays where it
/// is.
bool refine(const std::vector<Rgb>& pixels, std::vector<Cluster>& clusters) {
  std::vector<std::array<double, 3>> sums(clusters.size());
  for (Cluster& cluster : clusters) cluster.members = 0;
  for (const Rgb& pixel : pixels) {
    size_t nearest = 0;
    double least = std::numeric_limits<double>::infinity();
    for (size_t k = 0; k < clusters.size(); ++k) {
      double distance = 0;
      for (size_t c = 0; c < 3; ++c) {
        const double difference = pixel[c] - clusters[k].center[c];
        distance += difference * difference;
      }
      if (distance < least) {
        least = distance;
        nearest = k;
      }
    }
    ++clusters[nearest].members;
    for (size_t c = 0; c < 3; ++c) sums[nearest][c] += pixel[c];
  }
  bool moved = false;
  for (size_t k = 0; k < clusters.size(); ++k) {
    if (clusters[k].members == 0) continue;
    for (size_t c = 0; c < 3; ++c) {
      const double center = sums[k][c] / static_cast<double>(clusters[k].members);
      moved = moved || center != clusters[k].center[c];
      clusters[k].center[c] = center;
    }
  }
  return moved;
}

}  // namespace

const std::vector<std::string>& quality_part_names() {
  static const std::vector<std::string> names{
      "wall_share", "connected_pieces", "color_homogeneity"};
  return names;
}

std::vector<float> quality_parts(const Image& photo,
                                 const Mask& mask,
                                 const Mask& core,
                                 double low,
                                 double high,
                                 uint64_t seed,
                                 uint64_t sample_id) {
  return {share_part(wall_share(mask), low, high),
          pieces_part(mask),
          homogeneity_part(core_pixels(photo, core, seed, sample_id))};
}

float quality_of(const std::vector<float>& parts) {
  double product = 1;
  for (const float part : parts) product *= part;
  return static_cast<float>(std::pow(product, 1.0 / static_cast<double>(parts.size())));
}

std::vector<PaletteColor> palette(const Image& photo,
                                  const Mask& core,
                                  uint64_t seed,
                                  uint64_t sample_id) {
  std::vector<Rgb> pixels = core_pixels(photo, core, seed, sample_id);
  std::vector<size_t> order(pixels.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t left, size_t right) {
    return luminance(pixels[left]) < luminance(pixels[right]);
  });
  std::vector<Cluster> clusters(kPaletteColors);
  for (size_t k = 0; k < clusters.size(); ++k) {
    const Rgb& start = pixels[order[(2 * k + 1) * order.size() / (2 * clusters.size())]];
    clusters[k].center = {start[0], start[1], start[2]};
  }
  for (int i = 0; i < kLloydIterations && refine(pixels, clusters); ++i) {
  }
  std::stable_sort(clusters.begin(), clusters.end(), [](const Cluster& left, const Cluster& right) {
    return left.members > right.members;
  });
  std::vector<PaletteColor> colors;
  for (const Cluster& cluster : clusters)
    colors.push_back({static_cast<float>(cluster.center[0]),
                      static_cast<float>(cluster.center[1]),
                      static_cast<float>(cluster.center[2]),
                      static_cast<float>(static_cast<double>(cluster.members) /
                                         static_cast<double>(pixels.size()))});
  return colors;
}

}  // namespace limewash::data
