#include "data/wall_color.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "data/core_sample.h"
#include "data/palette.h"
#include "runtime/error.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

constexpr WallColorStrategy kStrategies[] = {
    WallColorStrategy::kMedian, WallColorStrategy::kMean, WallColorStrategy::kKmeans};

Image grey_photo(int64_t height, int64_t width, const std::vector<int>& values) {
  Image photo{height, width, {}};
  for (const int value : values)
    for (int c = 0; c < 3; ++c) photo.pixels.push_back(static_cast<uint8_t>(value));
  return photo;
}

TEST(WallColor, TheMedianIsTheMeanOfTheTwoMiddleValues) {
  const Image photo{1, 4, {10, 20, 30, 20, 30, 40, 40, 50, 60, 200, 100, 90}};
  const Rgb color = *median_color(photo, striped_mask(1, 4, 0, 4));
  EXPECT_FLOAT_EQ(color[0], 30.0f / 255);
  EXPECT_FLOAT_EQ(color[1], 40.0f / 255);
  EXPECT_FLOAT_EQ(color[2], 50.0f / 255);
}

TEST(WallColor, TheMeanIsOfTheStoredValues) {
  const Image photo = grey_photo(1, 4, {40, 40, 200, 200});
  const Rgb color = *mean_color(photo, striped_mask(1, 4, 0, 4));
  for (const float channel : color) EXPECT_FLOAT_EQ(channel, 120.0f / 255);
}

TEST(WallColor, KMeansGivesTheLargestClustersCentre) {
  // 60 % of one paint with a little noise, 40 % of others: the median is a mixture of neither.
  Image photo{10, 100, {}};
  for (int i = 0; i < 1000; ++i) {
    const int noise = i % 3 - 1;
    const int colors[3][3] = {{180, 90, 60}, {30, 60, 120}, {60, 120, 30}};
    const int paint = i % 10 < 6 ? 0 : i % 10 < 8 ? 1 : 2;
    for (int c = 0; c < 3; ++c)
      photo.pixels.push_back(static_cast<uint8_t>(colors[paint][c] + noise));
  }
  const Rgb color = *largest_cluster_color(photo, striped_mask(10, 100, 0, 100), 1, 2);
  EXPECT_NEAR(color[0] * 255, 180, 1);
  EXPECT_NEAR(color[1] * 255, 90, 1);
  EXPECT_NEAR(color[2] * 255, 60, 1);
}

TEST(WallColor, LeavesOutHighlightsAndDeepShadow) {
  const Image photo = grey_photo(1, 11, {120, 120, 120, 120, 120, 120, 255, 255, 250, 10, 0});
  for (const auto strategy : kStrategies)
    EXPECT_NEAR(
        (*wall_color(photo, striped_mask(1, 11, 0, 11), strategy, 1, 2))[0], 120.0f / 255, 1e-5);
}

TEST(WallColor, AWhiteOrABlackWallKeepsItsColor) {
  for (const int value : {252, 3}) {
    std::vector<int> values(16, value);
    values[0] = value;
    Image photo = grey_photo(4, 4, values);
    photo.pixels[0] = photo.pixels[1] = photo.pixels[2] = 128;
    for (const auto strategy : {WallColorStrategy::kMedian, WallColorStrategy::kKmeans})
      EXPECT_NEAR((*wall_color(photo, striped_mask(4, 4, 0, 4), strategy, 1, 2))[1],
                  static_cast<float>(value) / 255,
                  1e-5);
  }
}

TEST(WallColor, AnEmptyCoreHasNone) {
  const Image photo = plain_photo(4, 4, 1);
  for (const auto strategy : kStrategies)
    EXPECT_FALSE(wall_color(photo, striped_mask(4, 4, 0, 0), strategy, 1, 2).has_value());
}

TEST(WallColor, OnlyTheCoreCounts) {
  Image photo = grey_photo(2, 4, {50, 50, 90, 90, 50, 50, 90, 90});
  for (const auto strategy : kStrategies)
    EXPECT_NEAR(
        (*wall_color(photo, striped_mask(2, 4, 0, 2), strategy, 1, 2))[0], 50.0f / 255, 1e-5);
}

TEST(WallColor, StrategiesHaveNames) {
  EXPECT_EQ(wall_color_strategy("mean", "prepare.color"), WallColorStrategy::kMean);
  EXPECT_THROW(wall_color_strategy("mode", "prepare.color"), ConfigError);
}

TEST(CoreSample, TakesEveryNthPixelOfALargeCore) {
  Image photo{200, 300, {}};
  for (int i = 0; i < 200 * 300; ++i)
    for (const int value : {i % 251, i / 251, 7})
      photo.pixels.push_back(static_cast<uint8_t>(value));
  const Mask core = striped_mask(200, 300, 20, 220);  // 40,000 pixels: every fourth
  const auto sample = sample_core(photo, core, 5, 6);
  EXPECT_EQ(sample.size(), 10000u);
  // The stream of all core pixels, from the place where the sample begins.
  std::vector<std::array<uint8_t, 3>> all;
  for (size_t i = 0; i < core.pixels.size(); ++i)
    if (core.pixels[i] != 0)
      all.push_back({photo.pixels[3 * i], photo.pixels[3 * i + 1], photo.pixels[3 * i + 2]});
  const auto begin = std::find(all.begin(), all.begin() + 4, sample[0]) - all.begin();
  ASSERT_LT(begin, 4);
  for (size_t i = 0; i < sample.size(); ++i)
    ASSERT_EQ(sample[i], all[static_cast<size_t>(begin) + 4 * i]) << i;
  EXPECT_EQ(sample_core(photo, core, 5, 6), sample);
  bool other = false;
  for (uint64_t seed = 6; seed < 16; ++seed)
    other = other || sample_core(photo, core, seed, 6) != sample;
  EXPECT_TRUE(other) << "the seed has no effect";
  EXPECT_EQ(sample_core(photo, striped_mask(200, 300, 0, 50), 5, 6).size(), 10000u) << "all of it";
}

TEST(Palette, HoldsTheCentresOfItsClustersAndTheirShares) {
  // At the end of Lloyd's algorithm each centre is the mean of the pixels nearest to it.
  std::vector<std::array<uint8_t, 3>> pixels;
  for (int i = 0; i < 900; ++i) {
    const int base[3][3] = {{200, 40, 40}, {40, 200, 40}, {40, 40, 200}};
    const int* color = base[i % 3];
    std::array<uint8_t, 3> pixel;
    for (size_t c = 0; c < 3; ++c)
      pixel[c] = static_cast<uint8_t>(color[c] + (i * (static_cast<int>(c) + 3)) % 17);
    pixels.push_back(pixel);
  }
  const auto colors = cluster_colors(pixels);
  ASSERT_EQ(colors.size(), static_cast<size_t>(kPaletteColors));
  std::vector<std::array<double, 4>> means(colors.size());
  for (const auto& pixel : pixels) {
    size_t nearest = 0;
    double least = 1e9;
    for (size_t k = 0; k < colors.size(); ++k) {
      double distance = 0;
      for (size_t c = 0; c < 3; ++c) distance += std::pow(pixel[c] / 255.0 - colors[k][c], 2);
      if (distance < least) least = distance, nearest = k;
    }
    for (size_t c = 0; c < 3; ++c) means[nearest][c] += pixel[c] / 255.0;
    ++means[nearest][3];
  }
  for (size_t k = 0; k < colors.size(); ++k) {
    EXPECT_NEAR(means[k][3] / 900, colors[k][3], 1e-6);
    for (size_t c = 0; c < 3; ++c) EXPECT_NEAR(means[k][c] / means[k][3], colors[k][c], 1e-5);
    EXPECT_LE(colors[k][3], colors[k > 0 ? k - 1 : 0][3]);
  }
}

TEST(Palette, OfOneColorHasThatColor) {
  const std::vector<std::array<uint8_t, 3>> pixels(5, {10, 20, 30});
  const auto colors = cluster_colors(pixels);
  EXPECT_FLOAT_EQ(colors[0][3], 1);
  EXPECT_FLOAT_EQ(colors[0][2], 30.0f / 255);
  EXPECT_FLOAT_EQ(colors[3][3], 0);
}

}  // namespace
}  // namespace limewash::data
