#include "data/reference_crop.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "data/reference.h"
#include "data/room.h"
#include "data/sample_references.h"
#include "data/wall_color.h"
#include "tests/data/latent_cache_fixture.h"

namespace limewash::data {
namespace {

RandomStream crop_stream(uint64_t id) {
  return RandomStream(3, Purpose::kReferenceCrop, 0, id);
}

/// How far the median of a picture is from a colour, in CIEDE2000.
double distance_to(const Image& picture, const Rgb& color) {
  const Mask all{picture.height,
                 picture.width,
                 std::vector<uint8_t>(static_cast<size_t>(picture.height * picture.width), 255)};
  return delta_e_2000(rgb_to_lab(*median_color(picture, all)), rgb_to_lab(color));
}

TEST(ReferenceCrop, SquaresLieInTheWall) {
  const Room room(11, 4, 128);
  std::set<int64_t> sides, places;
  for (uint64_t id = 0; id < 100; ++id) {
    auto stream = crop_stream(id);
    const auto square = draw_square_in(room.mask(), stream);
    ASSERT_TRUE(square);
    sides.insert(square->side);
    places.insert(square->top * 128 + square->left);
    for (int64_t y = square->top; y < square->top + square->side; ++y)
      for (int64_t x = square->left; x < square->left + square->side; ++x)
        ASSERT_EQ(room.mask().pixels.at(static_cast<size_t>(y * 128 + x)), 255);
  }
  EXPECT_GT(places.size(), 50u);
  // Up to the largest square, found here by trying all of them.
  const auto fits = [&](int64_t top, int64_t left, int64_t side) {
    for (int64_t y = top; y < top + side; ++y)
      for (int64_t x = left; x < left + side; ++x)
        if (room.mask().pixels[static_cast<size_t>(y * 128 + x)] == 0) return false;
    return true;
  };
  int64_t largest = 0;
  for (int64_t top = 0; top < 128; ++top)
    for (int64_t left = 0; left < 128; ++left)
      while (top + largest < 128 && left + largest < 128 && fits(top, left, largest + 1)) ++largest;
  EXPECT_LE(*sides.rbegin(), largest);
  EXPECT_GE(*sides.rbegin(), largest * 9 / 10);
  EXPECT_GE(*sides.begin(), largest * 4 / 10);
}

TEST(ReferenceCrop, AWallWithoutRoomGivesNone) {
  auto stream = crop_stream(0);
  EXPECT_FALSE(draw_square_in(striped_mask(64, 64, 0, 7), stream));
  EXPECT_TRUE(draw_square_in(striped_mask(64, 64, 0, 8), stream));
  EXPECT_FALSE(draw_square_in(striped_mask(64, 64, 0, 0), stream));
}

TEST(ReferenceCrop, ShowsTheColourThatIsAskedForWhateverTheLight) {
  for (uint64_t id = 0; id < 20; ++id) {
    const Room room(11, id, 128);
    const Rgb paint = room.own_paint();
    auto stream = crop_stream(id);
    const auto cut = cut_wall(room.render(paint), room.mask(), paint, 64, stream);
    if (!cut) continue;
    EXPECT_EQ(cut->height, 64);
    EXPECT_EQ(cut->width, 64);
    EXPECT_LT(distance_to(*cut, paint), 1.0) << id;
  }
}

TEST(ReferenceCrop, KeepsLightAndTextureOfTheWall) {
  const Room room(11, 4, 128);
  auto stream = crop_stream(1);
  const auto cut =
      cut_wall(room.render({0.6f, 0.5f, 0.4f}), room.mask(), {0.6f, 0.5f, 0.4f}, 64, stream);
  ASSERT_TRUE(cut);
  std::set<uint8_t> values(cut->pixels.begin(), cut->pixels.end());
  EXPECT_GT(values.size(), 8u);
}

TEST(ReferenceCrop, AnExemplarIsDistortedButKeepsItsColour) {
  const Room room(11, 4, 128);
  const Rgb paint{0.4f, 0.5f, 0.6f};
  const Image photo = room.render(paint);
  int different = 0;
  double distance = 0;
  for (uint64_t id = 0; id < 30; ++id) {
    auto one = crop_stream(id), again = crop_stream(id);
    const auto exemplar = cut_exemplar(photo, room.mask(), paint, 64, one);
    ASSERT_TRUE(exemplar);
    EXPECT_EQ(exemplar->pixels, cut_exemplar(photo, room.mask(), paint, 64, again)->pixels);
    auto plain_stream = crop_stream(id);
    different += exemplar->pixels != cut_wall(photo, room.mask(), paint, 64, plain_stream)->pixels;
    distance += distance_to(*exemplar, paint) / 30;
  }
  EXPECT_EQ(different, 30) << "there is a rim";
  EXPECT_LT(distance, 2.0);
}

TEST(ReferenceCrop, DistortionsComeAtTheirProbabilities) {
  // A picture whose every pixel tells where it stood.
  Image picture{64, 64, {}};
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x)
      for (const int value : {4 * x, 4 * y, 0})
        picture.pixels.push_back(static_cast<uint8_t>(value));
  int unchanged = 0, mirrored = 0;
  constexpr int kDraws = 2000;
  for (uint64_t id = 0; id < kDraws; ++id) {
    auto stream = crop_stream(id);
    const Image result = distort_exemplar(picture, stream);
    unchanged += result.pixels == picture.pixels;
    // Right of the middle and left of it, at middle height.
    const auto at = [&](size_t x) { return result.pixels[3 * (32 * 64 + x)]; };
    mirrored += at(40) < at(24);
  }
  // Neither mirrored, turned, blurred nor sheared: 0.5 x 0.5 x 0.7 x 0.7; four deviations of it.
  EXPECT_NEAR(unchanged, 0.1225 * kDraws, 60);
  EXPECT_NEAR(mirrored, 0.5 * kDraws, 120);
}

class ReferencePictureTest : public LatentCacheTest {
 protected:
  ReferencePictureTest() {
    std::vector<ShardSample> samples;
    for (int i = 0; i < 6; ++i) samples.push_back(plain_sample(32, 5 * i + 1));
    make_dataset(folder / "large", samples, 6);
  }

  Image picture(const Dataset& dataset, int64_t index, int64_t k, AskedReference& asked) const {
    const SampleReferences references(dataset, options, nullptr);
    const Sample sample = dataset.read(index);
    const Rgb own = own_color(options.reference, options.seed, dataset.info(index), sample);
    asked = references.ask(index, own, k);
    const Image target = references.target(index, sample, own, asked);
    return references.picture(index, sample, k, asked, target, 32);
  }
};

TEST_F(ReferencePictureTest, EveryKindShowsTheColourThatTheTargetHas) {
  const Dataset dataset(folder / "large");
  for (const char* kind : {"swatch", "wall_crop", "exemplar"})
    for (const char* strategy : {"median", "mean", "kmeans", "random", "hybrid"}) {
      options.reference.image = kind;
      options.reference.strategy = strategy;
      options.reference.jitter = 10;
      for (int64_t index = 0; index < dataset.size(); ++index)
        for (int64_t k = 0; k < 3; ++k) {
          AskedReference asked;
          const Image shown = picture(dataset, index, k, asked);
          EXPECT_LT(distance_to(shown, asked.color), 3) << kind << ' ' << strategy;
          const Sample sample = dataset.read(index);
          const Rgb own = own_color(options.reference, 42, dataset.info(index), sample);
          const Image target =
              SampleReferences(dataset, options, nullptr).target(index, sample, own, asked);
          const Rgb painted = *median_color(target, sample.core);
          EXPECT_LT(delta_e_2000(rgb_to_lab(painted), rgb_to_lab(asked.color)), 3)
              << kind << ' ' << strategy;
        }
    }
}

TEST_F(ReferencePictureTest, ARandomExemplarIsAnotherPhotosWall) {
  const Dataset dataset(folder / "large");
  options.reference.image = "exemplar";
  options.reference.strategy = "random";
  std::set<int64_t> asked_of;
  for (int64_t index = 0; index < dataset.size(); ++index)
    for (int64_t k = 0; k < 5; ++k) {
      AskedReference asked;
      picture(dataset, index, k, asked);
      ASSERT_GE(asked.exemplar, 0);
      ASSERT_LT(asked.exemplar, dataset.size());
      EXPECT_NE(asked.exemplar, index);
      EXPECT_EQ(asked.color, dataset.info(asked.exemplar).color);
      asked_of.insert(asked.exemplar);
    }
  EXPECT_EQ(asked_of.size(), 6u);
}

TEST_F(ReferencePictureTest, TheOnlyPhotoIsItsOwnExemplar) {
  make_dataset(folder / "one", {plain_sample(32, 3)}, 1);
  const Dataset dataset(folder / "one");
  options.reference.image = "exemplar";
  options.reference.strategy = "random";
  AskedReference asked;
  const Image shown = picture(dataset, 0, 0, asked);
  EXPECT_EQ(asked.exemplar, -1);
  EXPECT_LT(distance_to(shown, asked.color), 3);
}

TEST_F(ReferencePictureTest, AWallTooSmallToBeCutGivesASwatch) {
  ShardSample sample = plain_sample(32, 3);
  sample.pixels.core = striped_mask(32, 32, 0, 4);
  make_dataset(folder / "narrow", {sample}, 1);
  const Dataset dataset(folder / "narrow");
  options.reference.image = "wall_crop";
  AskedReference asked;
  const Image shown = picture(dataset, 0, 1, asked);
  const Image swatch =
      render_swatch(options.reference,
                    asked.color,
                    32,
                    RandomStream(options.seed, Purpose::kSwatch, 1, dataset.info(0).stable_id));
  EXPECT_EQ(shown.pixels, swatch.pixels);
}

TEST_F(ReferencePictureTest, TheCacheHoldsTheseReferences) {
  const Dataset dataset(folder / "large");
  options.reference.image = "exemplar";
  const auto cache = open(dataset);
  for (const int64_t k : {0, 1, 2}) {
    // The fixture's encoders get pictures of 16 pixels a side.
    const SampleReferences references(dataset, options, nullptr);
    const Sample sample = dataset.read(2);
    const Rgb own = dataset.info(2).color;
    const AskedReference asked = references.ask(2, own, k);
    const Image target = references.target(2, sample, own, asked);
    const Image shown = references.picture(2, sample, k, asked, target, 16);
    const CachedSample cached = cache->sample(2, k);
    EXPECT_EQ(cached.color, asked.color);
    for (size_t d = 0; d < kEmbedding; ++d)
      EXPECT_EQ(cached.embedding[d], static_cast<float>(shown.pixels[d * 7]) / 255);
  }
}

}  // namespace
}  // namespace limewash::data
