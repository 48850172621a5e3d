#include "data/palette.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "data/core_sample.h"

namespace limewash::data {
namespace {

constexpr size_t kClusters = static_cast<size_t>(kPaletteColors);
constexpr int kLloydSteps = 20;

/// A colour of 0-255 per channel.
using Center = std::array<float, 3>;
using Centers = std::array<Center, kClusters>;

/// The pixels channel by channel, as the inner loop wants them.
struct Planes {
  std::array<std::vector<float>, 3> channel;

  explicit Planes(std::span<const std::array<uint8_t, 3>> pixels) {
    for (size_t c = 0; c < 3; ++c) {
      channel[c].resize(pixels.size());
      for (size_t i = 0; i < pixels.size(); ++i) channel[c][i] = pixels[i][c];
    }
  }
};

/// Sums are of whole numbers, so they do not depend on the order.
struct Members {
  std::array<std::array<int64_t, 3>, kClusters> sum{};
  std::array<int64_t, kClusters> count{};
};

/// The number of the nearest centre for each pixel; of equally near ones the first.
void assign(const Planes& planes, const Centers& centers, std::vector<int32_t>& nearest) {
  const float* red = planes.channel[0].data();
  const float* green = planes.channel[1].data();
  const float* blue = planes.channel[2].data();
  const size_t count = nearest.size();
  int32_t* out = nearest.data();
  // Local copies: the compiler then knows that the stores do not change them.
  const Centers local = centers;
  for (size_t i = 0; i < count; ++i) {
    // Distances are not negative, so their bits have their order; whole numbers are compared
    // several at a time.
    int32_t least = std::numeric_limits<int32_t>::max();
    int32_t best = 0;
    for (size_t k = 0; k < kClusters; ++k) {
      const float r = red[i] - local[k][0], g = green[i] - local[k][1], b = blue[i] - local[k][2];
      const auto distance = std::bit_cast<int32_t>(r * r + g * g + b * b);
      best = distance < least ? static_cast<int32_t>(k) : best;
      least = distance < least ? distance : least;
    }
    out[i] = best;
  }
}

Members gather(std::span<const std::array<uint8_t, 3>> pixels,
               const std::vector<int32_t>& nearest) {
  Members members;
  for (size_t i = 0; i < pixels.size(); ++i) {
    const auto k = static_cast<size_t>(nearest[i]);
    for (size_t c = 0; c < 3; ++c) members.sum[k][c] += pixels[i][c];
    ++members.count[k];
  }
  return members;
}

/// The pixels at the middles of equal shares in order of luminance; equal ones keep their order.
Centers start(std::span<const std::array<uint8_t, 3>> pixels) {
  std::vector<uint64_t> keys(pixels.size());
  for (size_t i = 0; i < pixels.size(); ++i) {
    const auto& pixel = pixels[i];
    const uint64_t luminance = 2126u * pixel[0] + 7152u * pixel[1] + 722u * pixel[2];
    keys[i] = luminance << 32 | i;
  }
  Centers centers;
  auto sorted = keys.begin();
  for (size_t k = 0; k < kClusters; ++k) {
    const auto middle =
        keys.begin() + static_cast<std::ptrdiff_t>((2 * k + 1) * keys.size() / (2 * kClusters));
    if (middle >= sorted) std::nth_element(sorted, middle, keys.end());
    sorted = middle + 1;
    const auto& pixel = pixels[static_cast<size_t>(*middle & 0xffffffffu)];
    for (size_t c = 0; c < 3; ++c) centers[k][c] = pixel[c];
  }
  return centers;
}

}  // namespace

std::vector<PaletteColor> cluster_colors(std::span<const std::array<uint8_t, 3>> pixels) {
  const Planes planes(pixels);
  Centers centers = start(pixels);
  std::vector<int32_t> nearest(pixels.size());
  Members members;
  for (int step = 0; step < kLloydSteps; ++step) {
    assign(planes, centers, nearest);
    members = gather(pixels, nearest);
    bool moved = false;
    for (size_t k = 0; k < kClusters; ++k) {
      if (members.count[k] == 0) continue;  // an empty cluster stays where it is
      for (size_t c = 0; c < 3; ++c) {
        const auto mean = static_cast<float>(static_cast<double>(members.sum[k][c]) /
                                             static_cast<double>(members.count[k]));
        moved = moved || mean != centers[k][c];
        centers[k][c] = mean;
      }
    }
    if (!moved) break;
  }
  std::array<size_t, kClusters> order{};
  for (size_t k = 0; k < kClusters; ++k) order[k] = k;
  std::stable_sort(order.begin(), order.end(), [&](size_t left, size_t right) {
    return members.count[left] > members.count[right];
  });
  std::vector<PaletteColor> colors;
  for (const size_t k : order)
    colors.push_back({centers[k][0] / 255.0f,
                      centers[k][1] / 255.0f,
                      centers[k][2] / 255.0f,
                      static_cast<float>(static_cast<double>(members.count[k]) /
                                         static_cast<double>(pixels.size()))});
  return colors;
}

std::vector<PaletteColor> palette(const Image& photo,
                                  const Mask& core,
                                  uint64_t seed,
                                  uint64_t sample_id) {
  return cluster_colors(sample_core(photo, core, seed, sample_id));
}

}  // namespace limewash::data
