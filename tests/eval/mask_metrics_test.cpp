#include "eval/mask_metrics.h"

#include <gmock/gmock.h>

#include "runtime/error.h"
#include "tests/eval/golden_pictures.h"

namespace limewash::eval {
namespace {

using ::testing::DoubleNear;
using ::testing::HasSubstr;
using ::testing::Optional;

/// A mask of 100 x 100 (tolerance 2) that is wall from column `left` on.
data::Mask from_column(int64_t left) {
  data::Mask mask{100, 100, std::vector<uint8_t>(100 * 100, 0)};
  for (int64_t y = 0; y < 100; ++y) {
    for (int64_t x = left; x < 100; ++x) mask.pixels[y * 100 + x] = 255;
  }
  return mask;
}

TEST(MaskMetrics, AgreeWithScipyAndScikitImage) {
  const GoldenPictures pictures;
  const data::Mask found = data::read_mask(pictures.folder + "mask_found.png");
  const nlohmann::json json = to_json(compare_masks(found, pictures.mask));
  const nlohmann::json& golden = pictures.golden.at("masks");
  ASSERT_EQ(json.size(), golden.size());
  for (const auto& [name, expected] : golden.items()) {
    EXPECT_NEAR(json.at(name).get<double>(), expected.get<double>(), 1e-12) << name;
  }
}

TEST(MaskMetrics, AnEdgeWithinTheToleranceIsFoundAndOneBeyondIsNot) {
  const MaskAgreement near = compare_masks(from_column(42), from_column(40));
  EXPECT_EQ(near.boundary_tolerance, 2);
  EXPECT_EQ(near.boundary_f, 1.0);
  EXPECT_THAT(near.iou, Optional(DoubleNear(58.0 / 60.0, 1e-12)));
  const MaskAgreement far = compare_masks(from_column(43), from_column(40));
  EXPECT_EQ(far.boundary_f, 0.0);
}

TEST(MaskMetrics, WhatIsNotDefinedIsMissing) {
  const data::Mask none = from_column(100), all = from_column(0);
  EXPECT_EQ(compare_masks(none, none).iou, std::nullopt);
  EXPECT_EQ(compare_masks(none, none).boundary_f, std::nullopt);
  EXPECT_EQ(compare_masks(all, all).iou, 1.0);
  EXPECT_EQ(compare_masks(all, all).boundary_f, std::nullopt);
  const MaskAgreement lost = compare_masks(none, from_column(50));
  EXPECT_EQ(lost.iou, 0.0);
  EXPECT_EQ(lost.boundary_precision, std::nullopt);
  EXPECT_EQ(lost.boundary_recall, 0.0);
  EXPECT_EQ(lost.boundary_f, 0.0);
}

TEST(MaskMetrics, NameBothSizesWhenTheyDiffer) {
  const data::Mask small{2, 3, std::vector<uint8_t>(6, 255)};
  try {
    compare_masks(small, from_column(50));
    FAIL() << "no error";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), HasSubstr("3x2"));
    EXPECT_THAT(error.what(), HasSubstr("100x100"));
  }
}

}  // namespace
}  // namespace limewash::eval
