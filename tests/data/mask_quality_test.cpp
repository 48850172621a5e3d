#include "data/mask_quality.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/mask.h"
#include "data/mask_boundary.h"
#include "data/mask_corruption.h"
#include "data/mask_regions.h"
#include "data/prepare_options.h"
#include "data/room.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

using testing::HasSubstr;

constexpr int64_t kSide = 96;

/// A wall of one paint over a floor of another, with a picture on the wall.
struct PaintedRoom {
  Image photo{kSide, kSide, {}};
  Mask wall{kSide, kSide, {}};
  PaintedRoom() {
    for (int64_t y = 0; y < kSide; ++y)
      for (int64_t x = 0; x < kSide; ++x) {
        const bool picture = y >= 20 && y < 40 && x >= 30 && x < 60, floor = y >= 64;
        // The light falls off to the right.
        const auto lit = [&](int value) { return static_cast<uint8_t>(value - x / 4); };
        if (picture)
          photo.pixels.insert(photo.pixels.end(), {40, 60, 150});
        else if (floor)
          photo.pixels.insert(photo.pixels.end(), {lit(130), lit(90), lit(50)});
        else
          photo.pixels.insert(photo.pixels.end(), {lit(150), lit(190), lit(160)});
        wall.pixels.push_back(picture || floor ? 0 : 255);
      }
  }
};

float part(const std::vector<float>& parts, const std::string& name) {
  const auto& names = quality_part_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw std::out_of_range(name);
  return parts.at(static_cast<size_t>(found - names.begin()));
}

std::vector<float> parts_of(const Image& photo, const Mask& mask) {
  return quality_parts({photo, mask, erode(mask, 3, 1)}, select_quality_parts({}, ""));
}

Mask rectangle(int64_t top, int64_t bottom, int64_t left, int64_t right) {
  Mask mask{kSide, kSide, std::vector<uint8_t>(kSide * kSide)};
  for (int64_t y = top; y < bottom; ++y)
    for (int64_t x = left; x < right; ++x) mask.pixels[static_cast<size_t>(y * kSide + x)] = 255;
  return mask;
}

TEST(MaskQuality, ARightMaskIsGoodInEveryPart) {
  const PaintedRoom room;
  const auto parts = parts_of(room.photo, room.wall);
  ASSERT_EQ(parts.size(), quality_part_names().size());
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!std::isnan(parts[i])) {
      EXPECT_GT(parts[i], 0.8) << quality_part_names()[i];
    }
  }
  EXPECT_GT(quality_of(parts), 0.9);
}

TEST(MaskQuality, WhatIsWrongShowsInThePartThatLooksForIt) {
  const PaintedRoom room;
  const auto right = parts_of(room.photo, room.wall);
  const auto falls = [&](const Mask& mask, const std::string& name, float most) {
    EXPECT_LT(part(parts_of(room.photo, mask), name), most * part(right, name)) << name;
  };
  // Half of the wall is missed.
  falls(rectangle(0, 64, 0, 30), "leakage", 0.7f);
  falls(rectangle(0, 64, 0, 30), "region_agreement", 0.7f);
  // The floor is taken for wall.
  falls(rectangle(0, 96, 0, 96), "foreign_objects", 0.8f);
  // Its lower edge runs across the wall, half-way up.
  falls(rectangle(0, 50, 70, 90), "edge_agreement", 0.6f);

  Mask splinters{kSide, kSide, std::vector<uint8_t>(kSide * kSide)};
  for (size_t y = 0; y < 64; y += 2)
    for (size_t x = 0; x < kSide; x += 2) splinters.pixels[y * kSide + x] = 255;
  falls(splinters, "connected_pieces", 0.1f);
  falls(splinters, "boundary_roughness", 0.5f);

  Image two_paints = room.photo;
  for (size_t i = 0; i < two_paints.pixels.size(); i += 3)
    if (i / 3 % kSide / 8 % 2 == 0) two_paints.pixels[i] = 220, two_paints.pixels[i + 2] = 20;
  EXPECT_LT(part(parts_of(two_paints, room.wall), "color_homogeneity"),
            0.8f * part(right, "color_homogeneity"));
}

TEST(MaskQuality, WallShareIsHalfAtTheLimitsAndOneWellInside) {
  const PaintedRoom room;
  const auto share = [&](const Mask& mask, double low, double high) {
    return quality_parts({room.photo, mask, mask, nullptr, low, high, {}},
                         select_quality_parts({"wall_share"}, ""))[0];
  };
  EXPECT_FLOAT_EQ(share(rectangle(0, 24, 0, 96), 0.25, 0.95), 0.5);
  EXPECT_FLOAT_EQ(share(rectangle(0, 72, 0, 96), 0.1, 0.75), 0.5);
  EXPECT_FLOAT_EQ(share(rectangle(0, 48, 0, 96), 0.1, 0.75), 1);
  EXPECT_FLOAT_EQ(share(rectangle(0, 0, 0, 0), 0.1, 0.75), 0);
}

TEST(MaskQuality, RoughnessDoesNotDependOnThePicturesScale) {
  // A comb of teeth, and the same twice as large. Teeth as wide as their gaps would blur to the
  // threshold itself, where rounding decides.
  const auto comb = [](int64_t scale) {
    const int64_t side = 64 * scale;
    Mask mask{side, side, {}};
    for (int64_t y = 0; y < side; ++y)
      for (int64_t x = 0; x < side; ++x)
        mask.pixels.push_back(y < 24 * scale || (y < 28 * scale && x / scale % 4 == 0) ? 255 : 0);
    return mask;
  };
  const auto roughness = [](const Mask& mask) {
    const Image photo{mask.height, mask.width, std::vector<uint8_t>(3 * mask.pixels.size(), 128)};
    return boundary_roughness(QualityPicture(photo, mask, mask));
  };
  EXPECT_LT(roughness(comb(2)), 0.8);
  EXPECT_NEAR(roughness(comb(2)), roughness(comb(4)), 0.05);
}

TEST(MaskQuality, RegionsAreTheSurfacesOfThePicture) {
  const PaintedRoom room;
  const Segmentation found = segment(QualityPicture(room.photo, room.wall, room.wall).lab);
  const auto label = [&](int y, int x) { return found.labels.at<int32_t>(y, x); };
  EXPECT_EQ(label(5, 5), label(60, 90));  // the wall, in all its light
  EXPECT_NE(label(5, 5), label(30, 45));  // the picture
  EXPECT_NE(label(5, 5), label(90, 5));   // the floor
  EXPECT_LE(found.count, 20);             // and a few of edges' own colours
}

TEST(MaskQuality, PartsThatAreNotComputedAreNaNAndDoNotCount) {
  const PaintedRoom room;
  const QualitySelection two = select_quality_parts({"leakage", "wall_share"}, "");
  const auto parts = quality_parts({room.photo, room.wall, room.wall}, two);
  for (size_t i = 0; i < parts.size(); ++i) EXPECT_EQ(std::isnan(parts[i]), !two[i]);
  std::vector<float> others(parts.size(), std::numeric_limits<float>::quiet_NaN());
  EXPECT_FLOAT_EQ(quality_of(others), 1);
  others[3] = 0.4f;
  EXPECT_FLOAT_EQ(quality_of(others), 0.4f);
  others[1] = 0.9f;
  EXPECT_GT(quality_of(others), 0.4f);
  EXPECT_LT(quality_of(others), 0.9f);
}

TEST(MaskQuality, SecondMaskAndClassifierCountWhereTheyAreThere) {
  const PaintedRoom room;
  const Mask second = rectangle(0, 64, 0, 48);
  QualityInput input{room.photo, room.wall, room.wall, &second};
  input.classifier = [](const Image&, const Mask&) { return 0.25f; };
  const auto parts = quality_parts(input, select_quality_parts({}, ""));
  EXPECT_FLOAT_EQ(part(parts, "second_mask_iou"), static_cast<float>(mask_iou(room.wall, second)));
  EXPECT_FLOAT_EQ(part(parts, "classifier"), 0.25f);
  EXPECT_LT(quality_of(parts), quality_of(parts_of(room.photo, room.wall)));
}

TEST(MaskQuality, MasksWithoutWallOrWithNothingElseHaveFinitePartsFrom0To1) {
  for (const uint8_t value : {uint8_t{0}, uint8_t{255}})
    for (const int64_t side : {1, 2, 7, 300}) {
      const Image photo{
          side, side + 1, std::vector<uint8_t>(static_cast<size_t>(3 * side * (side + 1)), 90)};
      const Mask mask{
          side, side + 1, std::vector<uint8_t>(static_cast<size_t>(side * (side + 1)), value)};
      const auto parts = quality_parts({photo, mask, mask}, select_quality_parts({}, ""));
      for (size_t i = 0; i < 8; ++i) {
        EXPECT_GE(parts[i], 0) << quality_part_names()[i];
        EXPECT_LE(parts[i], 1) << quality_part_names()[i];
      }
      EXPECT_GE(quality_of(parts), 0);
      EXPECT_LE(quality_of(parts), 1);
    }
}

TEST(MaskQuality, UnknownPartsAreRefusedByNameWithTheKnownOnes) {
  const auto problem = [](PrepareOptions options) -> std::string {
    try {
      options.validate();
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  PrepareOptions options;
  options.quality_parts = {"leakage", "sharpness"};
  EXPECT_THAT(
      problem(options),
      testing::AllOf(
          HasSubstr("prepare.quality_parts"), HasSubstr("sharpness"), HasSubstr("edge_agreement")));
  options.quality_parts = {"leakage"};
  EXPECT_EQ(problem(options), "accepted");
  options.quality_limits = {{"edge_agreement", 0.5}};
  EXPECT_THAT(
      problem(options),
      testing::AllOf(HasSubstr("prepare.quality_limits.edge_agreement"), HasSubstr("leaves out")));
  options.quality_limits = {{"sharpness", 0.5}};
  EXPECT_THAT(problem(options), HasSubstr("there is no part 'sharpness'"));
  options = {};
  options.quality_limits = {{"classifier", 0.5}};
  EXPECT_THAT(problem(options), HasSubstr("prepare.quality_model"));
}

/// Spearman's rank correlation of values without ties.
double rank_correlation(const std::vector<double>& left, const std::vector<double>& right) {
  const auto ranks = [](const std::vector<double>& values) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(
        order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
    std::vector<double> rank(values.size());
    for (size_t i = 0; i < order.size(); ++i) rank[order[i]] = static_cast<double>(i);
    return rank;
  };
  const auto a = ranks(left), b = ranks(right);
  const double n = static_cast<double>(a.size());
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
  return 1 - 6 * squares / (n * (n * n - 1));
}

TEST(MaskQuality, FollowsTheIouOfWrongMasks) {
  std::vector<double> scores, ious;
  for (uint64_t id = 0; id < 90; ++id) {
    const Room room(7001, id, 128);
    const Image photo = room.render(room.own_paint());
    const CorruptedMask wrong = corrupt_mask(photo, room.mask(), 7001, 0, id);
    if (wrong.kind == Corruption::kNone || wall_share(wrong.mask) < 0.02) continue;
    const Mask core = erode(wrong.mask, 5, 1);
    scores.push_back(
        quality_of(quality_parts({photo, wrong.mask, core}, select_quality_parts({}, ""))));
    ious.push_back(wrong.iou);
  }
  ASSERT_GT(scores.size(), 70u);
  EXPECT_GE(rank_correlation(scores, ious), 0.8);
}

}  // namespace
}  // namespace limewash::data
