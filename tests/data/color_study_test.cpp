// The findings of docs/colour.md, on fewer rooms than `color_study` measures.

#include "tests/data/color_study.h"

#include <gtest/gtest.h>

#include "data/recolor.h"

namespace limewash::data {
namespace {

constexpr uint64_t kRooms = 60;
constexpr int64_t kSize = 96;

ReferenceOptions hole_of(const char* kind, int64_t margin) {
  ReferenceOptions options;
  options.hole = kind;
  options.hole_margin = margin;
  return options;
}

TEST(ColorStudy, TheRatioIsCloserToTheExactRepaintEverywhere) {
  for (const bool random : {false, true}) {
    const auto ratio = study::recolor_error(recolor_linear_ratio, 20, kSize, random);
    const auto shift = study::recolor_error(recolor_lab_shift, 20, kSize, random);
    EXPECT_LT(ratio.wall, shift.wall);
    EXPECT_LT(ratio.deep, shift.deep);
    EXPECT_LT(ratio.edge, shift.edge);
  }
}

TEST(ColorStudy, NeitherHoleTellsTheHueOfTheOldPaint) {
  for (const char* kind : {"empty", "shading"}) {
    const auto leak = study::leak(hole_of(kind, 2), 0, false, kRooms, kSize);
    EXPECT_LT(leak.r2_a, 0.1) << kind;
    EXPECT_LT(leak.r2_b, 0.1) << kind;
  }
}

TEST(ColorStudy, TheMarginHidesThePaintThatAMaskLeavesOut) {
  const auto without = study::leak(hole_of("shading", 0), -2, true, kRooms, kSize);
  const auto with = study::leak(hole_of("shading", 2), -2, true, kRooms, kSize);
  EXPECT_GT(without.r2_a, 0.8);
  EXPECT_GT(without.r2_b, 0.8);
  EXPECT_LT(with.r2_a, 0.6);
  EXPECT_LT(with.r2_b, 0.6);
}

TEST(ColorStudy, OnlyTheShadingHoleKeepsTheLight) {
  const auto shading = study::kept_light(hole_of("shading", 2), 0, 20, kSize);
  EXPECT_GT(shading.low_pass, 0.97);
  EXPECT_GT(shading.pixels, 0.9);
  EXPECT_GT(shading.edge, 0.9);
  const auto empty = study::kept_light(hole_of("empty", 2), 0, 20, kSize);
  EXPECT_EQ(empty.low_pass, 0);
  EXPECT_EQ(empty.pixels, 0);
}

}  // namespace
}  // namespace limewash::data
