#include "data/wall_color.h"

#include <algorithm>
#include <array>
#include <vector>

#include "data/core_sample.h"
#include "data/palette.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

constexpr uint8_t kHighlight = 250;
constexpr uint8_t kDeepShadow = 10;

using Histogram = std::array<int64_t, 256>;

/// How often each value of each channel occurs.
struct Histograms {
  std::array<Histogram, 3> channel{};
  int64_t count = 0;
};

bool is_extreme(const uint8_t* rgb) {
  const uint8_t darkest = std::min({rgb[0], rgb[1], rgb[2]}),
                brightest = std::max({rgb[0], rgb[1], rgb[2]});
  return darkest >= kHighlight || brightest <= kDeepShadow;
}

/// Whether so many of the core's pixels are extreme that they are what the wall looks like.
bool keep_extremes(int64_t extremes, int64_t all) {
  return 2 * (all - extremes) < all;
}

/// The core's pixels without extremes, or all of them. The count is 0 where the core is empty.
Histograms histograms_of(const Image& photo, const Mask& core) {
  // Neighbours often are equal: two sets, so that one count need not wait for the other.
  std::array<std::array<std::array<uint32_t, 256>, 3>, 2> sets{};
  Histograms all, extremes;
  const uint8_t* pixel = photo.pixels.data();
  for (size_t i = 0; i < core.pixels.size(); ++i, pixel += 3) {
    if (core.pixels[i] == 0) continue;
    auto& set = sets[i & 1];
    for (size_t c = 0; c < 3; ++c) ++set[c][pixel[c]];
    if (!is_extreme(pixel)) continue;
    for (size_t c = 0; c < 3; ++c) ++extremes.channel[c][pixel[c]];
    ++extremes.count;
  }
  for (size_t c = 0; c < 3; ++c)
    for (size_t value = 0; value < 256; ++value)
      all.channel[c][value] = int64_t{sets[0][c][value]} + sets[1][c][value];
  for (const int64_t count : all.channel[0]) all.count += count;
  if (keep_extremes(extremes.count, all.count)) return all;
  for (size_t c = 0; c < 3; ++c)
    for (size_t value = 0; value < 256; ++value)
      all.channel[c][value] -= extremes.channel[c][value];
  all.count -= extremes.count;
  return all;
}

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

float mean(const Histogram& histogram, int64_t count) {
  int64_t sum = 0;
  for (size_t value = 0; value < 256; ++value)
    sum += histogram[value] * static_cast<int64_t>(value);
  return static_cast<float>(static_cast<double>(sum) / static_cast<double>(count) / 255);
}

template <class OfChannel>
std::optional<Rgb> channel_by_channel(const Image& photo,
                                      const Mask& core,
                                      const OfChannel& of_channel) {
  const Histograms histograms = histograms_of(photo, core);
  if (histograms.count == 0) return std::nullopt;
  Rgb color;
  for (size_t c = 0; c < 3; ++c) color[c] = of_channel(histograms.channel[c], histograms.count);
  return color;
}

}  // namespace

WallColorStrategy wall_color_strategy(const std::string& name, const std::string& key) {
  if (name == "median") return WallColorStrategy::kMedian;
  if (name == "mean") return WallColorStrategy::kMean;
  if (name == "kmeans") return WallColorStrategy::kKmeans;
  throw ConfigError(key + ": " + name + " is none of median, mean, kmeans");
}

std::optional<Rgb> wall_color(const Image& photo,
                              const Mask& core,
                              WallColorStrategy strategy,
                              uint64_t seed,
                              uint64_t sample_id) {
  switch (strategy) {
    case WallColorStrategy::kMean:
      return mean_color(photo, core);
    case WallColorStrategy::kKmeans:
      return largest_cluster_color(photo, core, seed, sample_id);
    case WallColorStrategy::kMedian:
      break;
  }
  return median_color(photo, core);
}

std::optional<Rgb> median_color(const Image& photo, const Mask& core) {
  return channel_by_channel(photo, core, median);
}

std::optional<Rgb> mean_color(const Image& photo, const Mask& core) {
  return channel_by_channel(photo, core, mean);
}

std::optional<Rgb> largest_cluster_color(const Image& photo,
                                         const Mask& core,
                                         uint64_t seed,
                                         uint64_t sample_id) {
  auto pixels = sample_core(photo, core, seed, sample_id);
  if (pixels.empty()) return std::nullopt;
  const auto all = static_cast<int64_t>(pixels.size());
  const auto extremes =
      std::count_if(pixels.begin(), pixels.end(), [](auto& rgb) { return is_extreme(rgb.data()); });
  if (!keep_extremes(extremes, all))
    std::erase_if(pixels, [](auto& rgb) { return is_extreme(rgb.data()); });
  const PaletteColor largest = cluster_colors(pixels).front();
  return Rgb{largest[0], largest[1], largest[2]};
}

}  // namespace limewash::data
