#include "eval/image_metrics.h"

#include <cmath>

#include <gmock/gmock.h>

#include "runtime/error.h"
#include "tests/eval/golden_pictures.h"

namespace limewash::eval {
namespace {

using ::testing::DoubleNear;
using ::testing::Optional;

void expect_agreement(const ImageDifference& difference, const nlohmann::json& golden) {
  EXPECT_THAT(difference.delta_e_76_mean,
              Optional(DoubleNear(golden.at("delta_e_76_mean").get<double>(), 1e-4)));
  EXPECT_THAT(difference.delta_e_2000_mean,
              Optional(DoubleNear(golden.at("delta_e_2000_mean").get<double>(), 1e-4)));
  EXPECT_THAT(difference.psnr, Optional(DoubleNear(golden.at("psnr").get<double>(), 1e-9)));
  EXPECT_THAT(difference.ssim, Optional(DoubleNear(golden.at("ssim").get<double>(), 1e-7)));
  EXPECT_THAT(difference.ssim_uniform,
              Optional(DoubleNear(golden.at("ssim_uniform").get<double>(), 1e-7)));
}

TEST(CompareImages, AgreesWithScikitImage) {
  const GoldenPictures pictures;
  expect_agreement(compare_images(pictures.a, pictures.b, nullptr), pictures.golden.at("all"));
  expect_agreement(compare_images(pictures.a, pictures.b, &pictures.mask),
                   pictures.golden.at("masked"));
}

TEST(CompareImages, AnEmptyMaskIsMissingNotPerfect) {
  const GoldenPictures pictures;
  data::Mask none = pictures.mask;
  std::fill(none.pixels.begin(), none.pixels.end(), uint8_t{0});
  const nlohmann::json json = to_json(compare_images(pictures.a, pictures.b, &none));
  EXPECT_EQ(json.size(), 6u);
  for (const auto& [name, value] : json.items()) EXPECT_TRUE(value.is_null()) << name;
}

TEST(CompareImages, EqualImagesHaveNoPsnr) {
  const GoldenPictures pictures;
  const ImageDifference same = compare_images(pictures.a, pictures.a, nullptr);
  EXPECT_EQ(same.psnr, std::nullopt);
  EXPECT_THAT(same.ssim, Optional(DoubleNear(1.0, 1e-12)));
  EXPECT_EQ(same.delta_e_2000_mean, 0.0);
}

TEST(CompareImages, NamesBothSizesWhenTheyDiffer) {
  const GoldenPictures pictures;
  const data::Image small{2, 3, std::vector<uint8_t>(18, 0)};
  try {
    compare_images(pictures.a, small, nullptr);
    FAIL() << "no error";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("56x40"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("3x2"));
  }
}

TEST(Ssim, IsMissingWhereTheWindowDoesNotFit) {
  const data::Image small{10, 40, std::vector<uint8_t>(10 * 40 * 3, 7)};
  const ImageDifference difference = compare_images(small, small, nullptr);
  EXPECT_EQ(difference.ssim, std::nullopt);
  EXPECT_THAT(difference.ssim_uniform, Optional(DoubleNear(1.0, 1e-12)));
  const data::Image tiny{6, 40, std::vector<uint8_t>(6 * 40 * 3, 7)};
  EXPECT_EQ(compare_images(tiny, tiny, nullptr).ssim_uniform, std::nullopt);
}

}  // namespace
}  // namespace limewash::eval
