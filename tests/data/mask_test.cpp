#include "data/mask.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "data/crop_scale.h"
#include "data/palette.h"
#include "runtime/random.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

/// A mask of blobs, from a fixed stream.
Mask blobs(int64_t height, int64_t width, uint64_t number) {
  RandomStream stream(1, Purpose::kCrop, 0, number);
  Mask mask{height, width, std::vector<uint8_t>(static_cast<size_t>(height * width))};
  for (int blob = 0; blob < 6; ++blob) {
    const auto top = static_cast<int64_t>(stream.below(static_cast<uint64_t>(height)));
    const auto left = static_cast<int64_t>(stream.below(static_cast<uint64_t>(width)));
    const auto side = static_cast<int64_t>(5 + stream.below(20));
    for (int64_t y = top; y < std::min(height, top + side); ++y)
      for (int64_t x = left; x < std::min(width, left + side); ++x)
        mask.pixels[static_cast<size_t>(y * width + x)] = 255;
  }
  return mask;
}

/// One erosion by the definition.
Mask eroded_once(const Mask& mask, int64_t kernel) {
  Mask result = mask;
  const int64_t reach = kernel / 2;
  for (int64_t y = 0; y < mask.height; ++y)
    for (int64_t x = 0; x < mask.width; ++x)
      for (int64_t v = std::max<int64_t>(0, y - reach); v <= std::min(mask.height - 1, y + reach);
           ++v)
        for (int64_t u = std::max<int64_t>(0, x - reach); u <= std::min(mask.width - 1, x + reach);
             ++u)
          if (mask.pixels[static_cast<size_t>(v * mask.width + u)] == 0)
            result.pixels[static_cast<size_t>(y * mask.width + x)] = 0;
  return result;
}

TEST(Mask, ErosionFollowsTheDefinition) {
  for (uint64_t number = 0; number < 5; ++number) {
    const Mask mask = blobs(40, 55, number);
    EXPECT_EQ(erode(mask, 5, 2).pixels, eroded_once(eroded_once(mask, 5), 5).pixels);
    EXPECT_EQ(erode(mask, 3, 1).pixels, eroded_once(mask, 3).pixels);
    EXPECT_EQ(erode(mask, 5, 0).pixels, mask.pixels);
  }
}

TEST(Mask, WallThatLeavesTheFrameIsNotErodedThere) {
  const Mask core = erode(striped_mask(20, 20, 0, 10), 5, 2);
  EXPECT_EQ(core.pixels, striped_mask(20, 20, 0, 6).pixels);
}

TEST(CropScale, AreaScalingIsExact) {
  const Image photo = plain_photo(37, 53, 3);
  const Image scaled = crop_and_scale(photo, 16);
  for (int64_t y = 0; y < 16; ++y)
    for (int64_t x = 0; x < 16; ++x) {
      // 16 x 16 sub-pixels of each of the 37 x 37 centre pixels, so that every border falls on one.
      int64_t sum = 0;
      for (int64_t v = y * 37; v < (y + 1) * 37; ++v)
        for (int64_t u = x * 37; u < (x + 1) * 37; ++u)
          sum += photo.pixels[static_cast<size_t>(((v / 16) * 53 + 8 + u / 16) * 3 + 1)];
      const int64_t whole = 37 * 37;
      EXPECT_EQ(scaled.pixels[static_cast<size_t>((y * 16 + x) * 3 + 1)],
                (2 * sum + whole) / (2 * whole));
    }
}

TEST(CropScale, MaskIsWallWhereMoreThanHalfOfThePixelIs) {
  // Pairs of columns: [0 wall, 1 wall], [1 wall of 2], ...
  Mask mask = striped_mask(8, 8, 0, 3);
  const Mask scaled = crop_and_scale(mask, 4);
  EXPECT_EQ(scaled.pixels, striped_mask(4, 4, 0, 1).pixels);
  mask = striped_mask(9, 9, 0, 5);  // 5 / 9 of 3 pixels: the second is 2/3 wall
  EXPECT_EQ(crop_and_scale(mask, 3).pixels, striped_mask(3, 3, 0, 2).pixels);
}

TEST(CropScale, KeepsAPhotoOfTheRightSize) {
  const Image photo = plain_photo(16, 16, 1);
  EXPECT_EQ(crop_and_scale(photo, 16).pixels, photo.pixels);
  EXPECT_EQ(crop_and_scale(plain_photo(10, 30, 1), 16).pixels.size(), size_t{16 * 16 * 3});
}

TEST(CropScale, ScalesAMaskToThePhoto) {
  const Mask mask = striped_mask(10, 20, 0, 10);
  EXPECT_EQ(scale_mask(mask, 5, 10).pixels, striped_mask(5, 10, 0, 5).pixels);
  EXPECT_EQ(scale_mask(mask, 30, 60).pixels, striped_mask(30, 60, 0, 30).pixels);
}

TEST(MaskQuality, PaletteFindsTwoPaintsWithTheirShares) {
  Image photo{20, 20, {}};
  for (int i = 0; i < 400; ++i)
    for (int c = 0; c < 3; ++c)
      photo.pixels.push_back(static_cast<uint8_t>(i < 100 ? 40 + 60 * c : 200 - 50 * c));
  const auto colors = palette(photo, striped_mask(20, 20, 0, 20), 1, 2);
  ASSERT_EQ(colors.size(), static_cast<size_t>(kPaletteColors));
  float sum = 0, blue = 0;
  for (const auto& color : colors) {
    sum += color[3];
    if (std::abs(color[0] - 40.0f / 255) < 0.01f) blue += color[3];
  }
  EXPECT_NEAR(sum, 1, 1e-6);
  EXPECT_NEAR(blue, 0.25, 1e-6);
  EXPECT_TRUE(
      std::is_sorted(colors.begin(), colors.end(), [](auto& a, auto& b) { return a[3] > b[3]; }));
}

}  // namespace
}  // namespace limewash::data
