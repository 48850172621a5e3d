#include "eval/evaluation_photo.h"

#include <gmock/gmock.h>

#include "data/mask_corruption.h"
#include "data/wall_color.h"
#include "runtime/error.h"
#include "tests/eval/room_dataset.h"

namespace limewash::eval {
namespace {

class EvaluationPhotoTest : public ::testing::Test {
 protected:
  static EvaluationPhoto load(int64_t index, const std::string& corruption, double iou = 0.7) {
    EvaluationOptions options;
    options.mask_corruption = corruption;
    options.mask_iou = iou;
    return load_evaluation_photo(rooms().open(), index, options);
  }
  static const RoomDataset& rooms() {
    static const RoomDataset dataset(3, 64);
    return dataset;
  }
};

TEST_F(EvaluationPhotoTest, GivesTheRightMaskUnlessToldOtherwise) {
  const EvaluationPhoto photo = load(0, "none");
  EXPECT_EQ(photo.given.pixels, photo.sample.mask.pixels);
  EXPECT_EQ(photo.own_color, photo.info.color);
  EXPECT_EQ(photo.mask_iou, std::nullopt);
}

TEST_F(EvaluationPhotoTest, GivesAWrongMaskOfThatErrorAndTheColourUnderIt) {
  for (int64_t i = 0; i < 3; ++i) {
    const EvaluationPhoto photo = load(i, "missing_region", 0.6);
    EXPECT_NEAR(data::mask_iou(photo.given, photo.sample.mask), 0.6, 0.1);
    EXPECT_EQ(photo.mask_iou, data::mask_iou(photo.given, photo.sample.mask));
    EXPECT_EQ(photo.own_color, data::median_color(photo.sample.image, photo.given));
    EXPECT_EQ(photo.sample.mask.pixels, load(i, "none").sample.mask.pixels);
  }
}

TEST_F(EvaluationPhotoTest, DrawsTheSameWrongMaskAgain) {
  EXPECT_EQ(load(1, "any").given.pixels, load(1, "any").given.pixels);
  EXPECT_NE(load(1, "dilation").given.pixels, load(1, "erosion").given.pixels);
}

TEST(EvaluationOptions, NameTheKindsOfWrongMasks) {
  EvaluationOptions options;
  const auto read = [&](const std::string& text) {
    config::Document::parse(text, "evaluation.yaml", {}).read_into(options);
  };
  read("mask_corruption: wavy_boundary");
  EXPECT_TRUE(options.corrupts_masks());
  EXPECT_THROW(read("mask_corruption: wavy"), ConfigError);
  EXPECT_THROW(read("mask_iou: 0"), ConfigError);
}

}  // namespace
}  // namespace limewash::eval
