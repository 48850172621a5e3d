// Prints the table of docs/colour.md on how the wall's colour is taken: procedural rooms, right and
// wrong masks, each strategy.

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/color.h"
#include "data/color_tables.h"
#include "data/mask.h"
#include "data/mask_corruption.h"
#include "data/room.h"
#include "data/wall_color.h"
#include "runtime/random.h"

namespace {

using namespace limewash;
using namespace limewash::data;

constexpr uint64_t kSeed = 42;
constexpr int64_t kSize = 512;
constexpr double kIou = 0.8;

struct Strategy {
  std::string name;
  std::function<std::optional<Rgb>(const Image&, const Mask&, uint64_t)> color;
};

/// The mean in linear light, to compare the other one with. Few rooms have highlights or deep
/// shadow on their walls; nothing is left out.
std::optional<Rgb> linear_mean(const Image& photo, const Mask& core) {
  std::array<double, 3> sum{};
  int64_t count = 0;
  for (size_t i = 0; i < core.pixels.size(); ++i) {
    if (core.pixels[i] == 0) continue;
    for (size_t c = 0; c < 3; ++c)
      sum[c] += static_cast<double>(linear_of_byte()[photo.pixels[3 * i + c]]);
    ++count;
  }
  if (count == 0) return std::nullopt;
  Rgb color;
  for (size_t c = 0; c < 3; ++c)
    color[c] = linear_to_srgb(static_cast<float>(sum[c] / static_cast<double>(count)));
  return color;
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

double difference(const Rgb& left, const Rgb& right) {
  return delta_e_2000(rgb_to_lab(left), rgb_to_lab(right));
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t rooms = argc > 1 ? std::atoll(argv[1]) : 100;
  const std::vector<Strategy> strategies{
      {"median", [](auto& photo, auto& core, uint64_t) { return median_color(photo, core); }},
      {"mean", [](auto& photo, auto& core, uint64_t) { return mean_color(photo, core); }},
      {"linear mean", [](auto& photo, auto& core, uint64_t) { return linear_mean(photo, core); }},
      {"kmeans", [](auto& photo, auto& core, uint64_t id) {
         return largest_cluster_color(photo, core, kSeed, id);
       }}};
  // Row 0: the right mask against the paint; then each corruption against the right mask.
  std::vector<std::vector<std::vector<double>>> found(
      kCorruptions, std::vector<std::vector<double>>(strategies.size()));
  std::vector<std::vector<double>> ious(kCorruptions);
  for (int64_t number = 0; number < rooms; ++number) {
    const auto id = static_cast<uint64_t>(number);
    const Room room(kSeed, id, kSize);
    const Image photo = room.render(room.own_paint());
    const Mask core = erode(room.mask(), 5, 2);
    std::vector<std::optional<Rgb>> right;
    for (size_t s = 0; s < strategies.size(); ++s) {
      right.push_back(strategies[s].color(photo, core, id));
      if (right[s]) found[0][s].push_back(difference(*right[s], room.own_paint()));
    }
    for (uint32_t kind = 1; kind < kCorruptions; ++kind) {
      const CorruptedMask wrong = corrupt_mask(photo,
                                               room.mask(),
                                               static_cast<Corruption>(kind),
                                               kIou,
                                               RandomStream(kSeed, Purpose::kCorruption, kind, id));
      const Mask wrong_core = erode(wrong.mask, 5, 2);
      ious[kind].push_back(wrong.iou);
      for (size_t s = 0; s < strategies.size(); ++s) {
        const auto color = strategies[s].color(photo, wrong_core, id);
        if (color && right[s]) found[kind][s].push_back(difference(*color, *right[s]));
      }
    }
  }
  std::printf("%-18s %5s", "mask", "IoU");
  for (const Strategy& strategy : strategies) std::printf(" | %-14s", strategy.name.c_str());
  std::printf("\n");
  std::vector<std::vector<double>> all(strategies.size());
  const auto print = [&](const std::vector<std::vector<double>>& row) {
    for (const auto& values : row)
      std::printf(" | %5.2f  %6.2f ", quantile(values, 0.5), quantile(values, 0.9));
    std::printf("\n");
  };
  for (uint32_t kind = 0; kind < kCorruptions; ++kind) {
    if (kind == 0)
      std::printf("%-18s %5s", "right, to paint", "1");
    else
      std::printf("%-18s %5.2f",
                  corruption_name(static_cast<Corruption>(kind)).c_str(),
                  quantile(ious[kind], 0.5));
    print(found[kind]);
    for (size_t s = 0; kind > 0 && s < strategies.size(); ++s)
      all[s].insert(all[s].end(), found[kind][s].begin(), found[kind][s].end());
  }
  std::printf("%-24s", "all wrong masks");
  print(all);
  return 0;
}
