#include "data/variant.h"

#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "data/mask.h"
#include "data/sample_order.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

TEST(Variant, NumberNoughtIsTheSampleItself) {
  const ShardSample sample = plain_sample(32, 3);
  const Variant variant = draw_variant(1, 2, 0, sample.pixels.core);
  const Sample same = variant.apply(sample.pixels);
  EXPECT_EQ(same.image.pixels, sample.pixels.image.pixels);
  EXPECT_EQ(same.mask.pixels, sample.pixels.mask.pixels);
  EXPECT_EQ(same.core.pixels, sample.pixels.core.pixels);
}

TEST(Variant, AFlipMirrorsPhotoMaskAndCore) {
  const Sample sample = plain_sample(32, 3).pixels;
  const Sample mirrored = Variant{true, 0, 0, 32, 32}.apply(sample);
  for (size_t y = 0; y < 32; ++y)
    for (size_t x = 0; x < 32; ++x) {
      const size_t here = y * 32 + x, there = y * 32 + 31 - x;
      EXPECT_EQ(mirrored.mask.pixels[here], sample.mask.pixels[there]);
      EXPECT_EQ(mirrored.core.pixels[here], sample.core.pixels[there]);
      for (size_t c = 0; c < 3; ++c)
        EXPECT_EQ(mirrored.image.pixels[3 * here + c], sample.image.pixels[3 * there + c]);
    }
}

TEST(Variant, ACropIsEnlargedToTheWholeSize) {
  Sample sample = plain_sample(32, 3).pixels;
  // The upper left quarter in one colour, and wall.
  for (size_t y = 0; y < 32; ++y)
    for (size_t x = 0; x < 32; ++x) {
      const bool inside = y < 16 && x < 16;
      sample.mask.pixels[y * 32 + x] = sample.core.pixels[y * 32 + x] = inside ? 255 : 0;
      if (inside) std::fill_n(&sample.image.pixels[3 * (y * 32 + x)], 3, uint8_t{77});
    }
  const Sample crop = Variant{false, 0, 0, 16, 16}.apply(sample);
  EXPECT_EQ(crop.image.pixels, std::vector<uint8_t>(3 * 32 * 32, 77));
  EXPECT_EQ(crop.mask.pixels, std::vector<uint8_t>(32 * 32, 255));
  EXPECT_EQ(crop.core.pixels, std::vector<uint8_t>(32 * 32, 255));
}

TEST(Variant, DrawsAreWithinTheirBoundsAndKeepTheWall) {
  const Mask core = striped_mask(40, 60, 0, 12);
  const int64_t wall = count_wall(core);
  int flips = 0, crops = 0;
  std::set<int64_t> places;
  for (uint64_t id = 0; id < 200; ++id) {
    const Variant variant = draw_variant(5, id, 1, core);
    const bool crop = variant.height < 40 || variant.width < 60;
    EXPECT_TRUE(crop || variant.flip) << "another picture than the sample";
    flips += variant.flip;
    crops += crop;
    EXPECT_GE(variant.height, 32);
    EXPECT_GE(variant.width, 48);
    EXPECT_LE(variant.top + variant.height, 40);
    EXPECT_LE(variant.left + variant.width, 60);
    EXPECT_NEAR(
        static_cast<double>(variant.height) / 40, static_cast<double>(variant.width) / 60, 0.025)
        << "the aspect stays";
    int64_t kept = 0;
    for (int64_t y = variant.top; y < variant.top + variant.height; ++y)
      for (int64_t x = variant.left; x < variant.left + variant.width; ++x)
        kept += core.pixels[static_cast<size_t>(y * 60 + x)] != 0;
    EXPECT_GE(2 * kept, wall);
    places.insert(variant.left * 100 + variant.top);
  }
  // Two thirds each, and four standard deviations.
  EXPECT_NEAR(flips, 133, 27);
  EXPECT_NEAR(crops, 133, 27);
  EXPECT_GT(places.size(), 20u);
}

TEST(Variant, IsAFunctionOfSeedSampleAndNumber) {
  const Mask core = striped_mask(64, 64, 0, 64);
  const auto numbers = [&](uint64_t seed, uint64_t id, int64_t number) {
    const Variant v = draw_variant(seed, id, number, core);
    return std::vector<int64_t>{v.flip, v.top, v.left, v.height, v.width};
  };
  EXPECT_EQ(numbers(1, 2, 3), numbers(1, 2, 3));
  std::set<std::vector<int64_t>> different;
  for (const auto& [seed, id, number] :
       {std::array{1, 2, 3}, {2, 2, 3}, {1, 3, 3}, {1, 2, 4}, {1, 2, 5}, {1, 4, 3}})
    different.insert(numbers(static_cast<uint64_t>(seed), static_cast<uint64_t>(id), number));
  EXPECT_GE(different.size(), 5u);
}

TEST(Variant, EveryPairOfReferenceAndVariantComesOnce) {
  for (const auto& [recolorings, variants] :
       {std::array<int64_t, 2>{4, 3}, {4, 2}, {6, 4}, {1, 5}, {5, 1}, {3, 3}}) {
    for (const uint64_t id : {7u, 8u, 9u}) {
      std::set<std::array<int64_t, 2>> pairs;
      for (uint64_t epoch = 0; epoch < static_cast<uint64_t>(recolorings * variants); ++epoch)
        pairs.insert({recoloring_of(1, epoch, id, recolorings),
                      variant_of(1, epoch, id, recolorings, variants)});
      EXPECT_EQ(pairs.size(), static_cast<size_t>(recolorings * variants))
          << recolorings << ' ' << variants;
    }
  }
}

TEST(Variant, ChangesFromEpochToEpoch) {
  for (uint64_t epoch = 0; epoch < 10; ++epoch)
    EXPECT_NE(variant_of(1, epoch, 7, 5, 3), variant_of(1, epoch + 1, 7, 5, 3));
}

}  // namespace
}  // namespace limewash::data
