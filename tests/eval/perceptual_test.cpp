// LPIPS with a random trunk, and CLIP similarity with the toy's encoder.
// tests/launcher/metrics_test.py compares both with the reference libraries.

#include <filesystem>

#include <gmock/gmock.h>
#include <torch/torch.h>

#include "eval/clip_similarity.h"
#include "eval/color_metrics.h"
#include "eval/evaluation_options.h"
#include "eval/image_metrics.h"
#include "eval/lpips.h"
#include "eval/perceptual_networks.h"
#include "runtime/error.h"
#include "tests/eval/golden_pictures.h"
#include "tests/eval/random_alexnet.h"

namespace limewash::eval {
namespace {

using ::testing::DoubleNear;
using ::testing::Optional;

class LpipsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    weights_ = new RandomAlexNet;
  }
  static void TearDownTestSuite() {
    delete weights_;
  }
  inline static RandomAlexNet* weights_ = nullptr;
  GoldenPictures pictures_;
};

TEST_F(LpipsTest, IsZeroForEqualPicturesAndTheSameBothWays) {
  const Lpips lpips(weights_->file());
  EXPECT_EQ(lpips.network(), "alex");
  EXPECT_EQ(lpips.distance(pictures_.a, pictures_.a), 0.0);
  const auto there = lpips.distance(pictures_.a, pictures_.b);
  ASSERT_TRUE(there);
  EXPECT_GT(*there, 0.01);
  EXPECT_THAT(lpips.distance(pictures_.b, pictures_.a), Optional(DoubleNear(*there, 1e-6)));
}

TEST_F(LpipsTest, OfTensorsIsTheSameFigureWithAGradient) {
  const Lpips lpips(weights_->file());
  const auto tensor = [](const data::Image& image) {
    return torch::from_blob(const_cast<uint8_t*>(image.pixels.data()),
                            {1, image.height, image.width, 3},
                            torch::kUInt8)
                   .permute({0, 3, 1, 2})
                   .to(torch::kFloat) /
               127.5 -
           1;
  };
  const auto b = tensor(pictures_.b);
  auto a = tensor(pictures_.a).requires_grad_(true);
  const auto rows = lpips.distance(torch::cat({a, b}), torch::cat({b, b}));
  EXPECT_NEAR(rows[0].item<double>(), *lpips.distance(pictures_.a, pictures_.b), 1e-5);
  EXPECT_EQ(rows[1].item<double>(), 0.0);
  rows.sum().backward();
  EXPECT_TRUE(a.grad().isfinite().all().item<bool>());
  EXPECT_GT(a.grad().abs().max().item<double>(), 0.0);
  EXPECT_THROW(lpips.distance(torch::zeros({1, 3, 20, 40}), torch::zeros({1, 3, 20, 40})),
               InputError);
}

TEST_F(LpipsTest, LiesWhereThePicturesDiffer) {
  const Lpips lpips(weights_->file());
  data::Image image{200, 200, std::vector<uint8_t>(200 * 200 * 3, 90)}, other = image;
  Pixels left, right;
  for (int64_t y = 0; y < 200; ++y) {
    for (int64_t x = 0; x < 200; ++x) {
      (x < 40 ? left : right).push_back(y * 200 + x);
      if (x < 40) other.pixels[3 * (y * 200 + x)] = (x + y) % 2 == 0 ? 250 : 10;
    }
  }
  EXPECT_GT(*lpips.distance(image, other, left), 3 * *lpips.distance(image, other, right));
}

TEST_F(LpipsTest, IsMissingWithoutWeightsWithoutPixelsAndForTooSmallPictures) {
  const Lpips lpips(weights_->file());
  EXPECT_EQ(compare_images(pictures_.a, pictures_.b, nullptr).lpips, std::nullopt);
  EXPECT_TRUE(compare_images(pictures_.a, pictures_.b, nullptr, &lpips).lpips);
  EXPECT_EQ(lpips.distance(pictures_.a, pictures_.b, {}), std::nullopt);
  const data::Image small{30, 40, std::vector<uint8_t>(30 * 40 * 3, 7)};
  EXPECT_EQ(lpips.distance(small, small), std::nullopt);
}

TEST_F(LpipsTest, OfPicturesOfAnotherSizeOrTooLargeIsRefused) {
  const Lpips lpips(weights_->file());
  const data::Image small{30, 40, std::vector<uint8_t>(30 * 40 * 3, 7)};
  EXPECT_THROW(lpips.distance(small, pictures_.a), InputError);
  const data::Image large{1 << 14, 1 << 13, {}};
  EXPECT_THROW(lpips.distance(large, large), InputError);
}

TEST_F(LpipsTest, OutsideDoesNotSeeTheHole) {
  PerceptualNetworks networks(std::make_unique<const Lpips>(weights_->file()), nullptr);
  const auto outside = [&](const data::Image& painted) {
    const Painting painting{
        painted, pictures_.a, pictures_.mask, pictures_.mask, {0.4f, 0.5f, 0.7f}, nullptr};
    return measure_painting(painting, &networks).get("lpips_outside");
  };
  data::Image painted = pictures_.a;
  for (const int64_t i : inside(pictures_.mask)) painted.pixels[3 * i] ^= 0x55;
  EXPECT_EQ(outside(painted), 0.0);
  EXPECT_GT(*outside(pictures_.b), 0.0);
}

TEST(EvaluationOptions, NameAnLpipsFileThatIsNotThere) {
  EvaluationOptions options;
  options.lpips = "/nowhere/lpips.safetensors";
  try {
    options.validate();
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("evaluation.lpips"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr(options.lpips));
  }
}

TEST(ClipSimilarity, IsAHundredForThePictureItself) {
  const ClipSimilarity clip(
      std::filesystem::path(LIMEWASH_SOURCE_DIR "/models/limewash-tiny/image_encoder"));
  const GoldenPictures pictures;
  data::Mask all = pictures.mask, none = pictures.mask;
  std::fill(all.pixels.begin(), all.pixels.end(), uint8_t{255});
  std::fill(none.pixels.begin(), none.pixels.end(), uint8_t{0});
  const at::Tensor itself = clip.embed(pictures.a);
  EXPECT_THAT(clip.similarity(pictures.a, all, itself), Optional(DoubleNear(100, 1e-4)));
  EXPECT_LT(*clip.similarity(pictures.b, all, itself), 99.9);
  EXPECT_EQ(clip.similarity(pictures.a, none, itself), std::nullopt);
}

TEST(ClipSimilarity, LooksOnlyAtTheRegionsBoundingBox) {
  const ClipSimilarity clip(
      std::filesystem::path(LIMEWASH_SOURCE_DIR "/models/limewash-tiny/image_encoder"));
  const GoldenPictures pictures;
  data::Image changed = pictures.a;
  data::Mask part = pictures.mask;
  for (int64_t i = 0; i < part.height * part.width; ++i) {
    const int64_t y = i / part.width, x = i % part.width;
    const bool in_box = y >= 10 && y < 30 && x >= 20 && x < 50;
    part.pixels[i] = in_box ? 255 : 0;
    if (!in_box) changed.pixels[3 * i] ^= 0xff;
  }
  const at::Tensor reference = clip.embed(pictures.b);
  EXPECT_EQ(clip.similarity(pictures.a, part, reference),
            clip.similarity(changed, part, reference));
}

}  // namespace
}  // namespace limewash::eval
