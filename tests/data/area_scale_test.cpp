#include "data/area_scale.h"

#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "data/crop_scale.h"
#include "runtime/random.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

std::vector<uint8_t> noise(int64_t count, uint64_t number) {
  RandomStream stream(3, Purpose::kCrop, 0, number);
  std::vector<uint8_t> values(static_cast<size_t>(count));
  for (uint8_t& value : values) value = static_cast<uint8_t>(stream.below(256));
  return values;
}

/// The sum over one output pixel by the definition: the source is divided into out_height x
/// out_width parts a pixel, so that every border falls on one.
uint64_t sum_of_parts(const std::vector<uint8_t>& pixels,
                      int64_t height,
                      int64_t width,
                      int64_t channels,
                      std::pair<int64_t, int64_t> out,
                      std::pair<int64_t, int64_t> at,
                      int64_t channel) {
  uint64_t sum = 0;
  for (int64_t v = at.first * height; v < (at.first + 1) * height; ++v)
    for (int64_t u = at.second * width; u < (at.second + 1) * width; ++u)
      sum += pixels[static_cast<size_t>(((v / out.first) * width + u / out.second) * channels +
                                        channel)];
  return sum;
}

TEST(AreaScale, IsTheExactMeanHalvesRoundedUp) {
  const std::pair<int64_t, int64_t> cases[][2] = {{{37, 53}, {16, 24}},
                                                  {{24, 16}, {24, 16}},
                                                  {{48, 64}, {24, 16}},
                                                  {{65, 17}, {8, 17}},
                                                  {{16, 129}, {16, 8}},
                                                  {{9, 9}, {1, 1}}};
  for (const auto& [in, out] : cases) {
    const auto [height, width] = in;
    const auto pixels = noise(height * width * 3, static_cast<uint64_t>(height));
    std::vector<uint8_t> scaled(static_cast<size_t>(out.first * out.second * 3));
    scale_rgb_by_area(
        {pixels.data(), width * 3, height, width}, out.first, out.second, scaled.data());
    const auto whole = static_cast<uint64_t>(height * width);
    for (int64_t y = 0; y < out.first; ++y)
      for (int64_t x = 0; x < out.second; ++x)
        for (int64_t c = 0; c < 3; ++c)
          ASSERT_EQ(
              scaled[static_cast<size_t>((y * out.second + x) * 3 + c)],
              (2 * sum_of_parts(pixels, height, width, 3, out, {y, x}, c) + whole) / (2 * whole))
              << height << "x" << width << " at " << y << ", " << x << ", " << c;
  }
}

TEST(AreaScale, LargePicturesDoNotOverflow) {
  // Sums of white do not fit 32 bits here.
  constexpr int64_t kSide = 4200;
  std::vector<uint8_t> pixels(kSide * kSide * 3, 255);
  for (int64_t y = 0; y < kSide; ++y)
    for (int64_t x = 0; x < kSide / 2; ++x) pixels[static_cast<size_t>((y * kSide + x) * 3)] = 3;
  std::vector<uint8_t> scaled(2 * 2 * 3);
  scale_rgb_by_area({pixels.data(), kSide * 3, kSide, kSide}, 2, 2, scaled.data());
  EXPECT_EQ(scaled, (std::vector<uint8_t>{3, 255, 255, 255, 255, 255, 3, 255, 255, 255, 255, 255}));
  // And just do here.
  constexpr int64_t kSmaller = 4090;
  std::vector<uint8_t> black(1 * 1 * 3);
  scale_rgb_by_area({pixels.data(), kSide * 3, kSmaller, kSmaller}, 1, 1, black.data());
  const int64_t red = (2 * (2100 * 3 + (kSmaller - 2100) * 255) + kSmaller) / (2 * kSmaller);
  EXPECT_EQ(black, (std::vector<uint8_t>{static_cast<uint8_t>(red), 255, 255}));
}

TEST(AreaScale, AMaskIsWallWhereMoreThanHalfOfThePixelIs) {
  const std::pair<int64_t, int64_t> cases[][2] = {
      {{61, 83}, {24, 40}}, {{40, 40}, {20, 20}}, {{33, 200}, {33, 64}}};
  for (const auto& [in, out] : cases) {
    const auto [height, width] = in;
    auto mask = noise(height * width, static_cast<uint64_t>(width));
    // Stretches of wall and of none, with a ragged border.
    for (int64_t i = 0; i < height * width; ++i) {
      uint8_t& value = mask[static_cast<size_t>(i)];
      const int64_t x = i % width;
      value = x < width / 4 ? 255 : x < width / 2 ? (value > 127 ? 255 : 0) : 0;
    }
    std::vector<uint8_t> scaled(static_cast<size_t>(out.first * out.second));
    scale_mask_by_area({mask.data(), width, height, width}, out.first, out.second, scaled.data());
    const auto whole = static_cast<uint64_t>(height * width) * 255;
    for (int64_t y = 0; y < out.first; ++y)
      for (int64_t x = 0; x < out.second; ++x)
        ASSERT_EQ(scaled[static_cast<size_t>(y * out.second + x)],
                  2 * sum_of_parts(mask, height, width, 1, out, {y, x}, 0) > whole ? 255 : 0)
            << height << "x" << width << " at " << y << ", " << x;
  }
}

TEST(CropScale, TheRectangleIsTheLargestOfItsShapeInTheMiddle) {
  const auto expect = [](const Rectangle& part, int64_t top, int64_t left, int64_t h, int64_t w) {
    EXPECT_EQ(part.top, top);
    EXPECT_EQ(part.left, left);
    EXPECT_EQ(part.height, h);
    EXPECT_EQ(part.width, w);
  };
  expect(centered_rectangle(100, 141, 32, 32), 0, 20, 100, 100);
  expect(centered_rectangle(141, 100, 32, 32), 20, 0, 100, 100);
  expect(centered_rectangle(100, 200, 64, 96), 0, 25, 100, 150);
  expect(centered_rectangle(200, 100, 64, 96), 66, 0, 67, 100);  // 66.7
  expect(centered_rectangle(100, 150, 64, 96), 0, 0, 100, 150);
  expect(centered_rectangle(1, 5000, 4096, 16), 0, 2499, 1, 1);
}

TEST(CropScale, ANonSquarePartIsCutOutAndScaled) {
  const Image photo = plain_photo(40, 100, 2);
  const Image scaled = crop_and_scale(photo, {0, 20, 40, 60}, 20, 30);
  for (int64_t y = 0; y < 20; ++y)
    for (int64_t x = 0; x < 30; ++x) {
      int sum = 0;
      for (int64_t v = 0; v < 2; ++v)
        for (int64_t u = 0; u < 2; ++u)
          sum += photo.pixels[static_cast<size_t>(((2 * y + v) * 100 + 20 + 2 * x + u) * 3)];
      EXPECT_EQ(scaled.pixels[static_cast<size_t>((y * 30 + x) * 3)], (sum + 2) / 4);
    }
}

}  // namespace
}  // namespace limewash::data
