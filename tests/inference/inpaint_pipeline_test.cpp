#include "inference/inpaint_pipeline.h"

#include <cmath>

#include <gmock/gmock.h>
#include <torch/torch.h>

#include "data/room.h"
#include "runtime/random.h"
#include "tests/models/blind_device.h"

namespace limewash::inference {
namespace {

data::Image ramp(int64_t height, int64_t width) {
  data::Image image{height, width, {}};
  for (int64_t i = 0; i < height * width * 3; ++i)
    image.pixels.push_back(static_cast<uint8_t>(i * 7));
  return image;
}

TEST(Pixels, ComeBackAsTheyWere) {
  const std::vector<data::Image> images = {ramp(8, 16), ramp(8, 16)};
  const at::Tensor pixels = images_to_pixels(images);
  EXPECT_EQ(pixels.sizes(), (std::vector<int64_t>{2, 3, 8, 16}));
  EXPECT_FLOAT_EQ(pixels.min().item<float>(), -1.0f);
  EXPECT_FLOAT_EQ(pixels[0][1][0][2].item<float>(),
                  static_cast<float>(images[0].pixels[7]) / 127.5f - 1);
  EXPECT_EQ(pixels_to_images(pixels)[1].pixels, images[1].pixels);
}

TEST(Pixels, OutOfRangeIsClampedAndNotFiniteIsNoPicture) {
  at::Tensor pixels = torch::full({2, 3, 4, 4}, 5.0f);
  pixels[1][2][3][3] = std::nanf("");
  const std::vector<data::Image> images = pixels_to_images(pixels);
  EXPECT_THAT(images[0].pixels, ::testing::Each(255));
  EXPECT_TRUE(images[1].pixels.empty());
}

TEST(Masks, TakeTheNearestPixelAsDiffusersDoes) {
  data::Mask mask{16, 16, std::vector<uint8_t>(256, 0)};
  mask.pixels[0] = 255;           // the corner that latent (0, 0) takes
  mask.pixels[9 * 16 + 9] = 255;  // inside latent (1, 1), but not its corner
  mask.pixels[0 * 16 + 8] = 255;  // the corner of latent (0, 1)
  const at::Tensor latents = masks_to_latents({{mask}}, 8);
  EXPECT_TRUE(torch::equal(latents.flatten(), torch::tensor({1.0f, 1.0f, 0.0f, 0.0f})));
}

TEST(PaintingNoise, DependsOnSeedAndNameOnly) {
  const at::Tensor first = painting_noise(42, "room.png#aabbcc", 4, 16, 16);
  EXPECT_TRUE(torch::equal(first, painting_noise(42, "room.png#aabbcc", 4, 16, 16)));
  EXPECT_FALSE(torch::equal(first, painting_noise(42, "room.png#aabbcd", 4, 16, 16)));
  EXPECT_FALSE(torch::equal(first, painting_noise(43, "room.png#aabbcc", 4, 16, 16)));
  EXPECT_NEAR(first.mean().item<double>(), 0, 0.1);
  EXPECT_NEAR(first.std().item<double>(), 1, 0.1);
}

TEST(PasteOutside, KeepsThePhotoAwayFromTheHole) {
  const data::Image photo{16, 16, std::vector<uint8_t>(16 * 16 * 3, 10)};
  const data::Image painted{16, 16, std::vector<uint8_t>(16 * 16 * 3, 210)};
  data::Mask hole{16, 16, std::vector<uint8_t>(256, 0)};
  for (int64_t y = 6; y < 10; ++y) {
    for (int64_t x = 6; x < 10; ++x) hole.pixels[y * 16 + x] = 255;
  }
  const data::Image result = paste_outside(painted, photo, hole, 1);
  const auto at = [&](int64_t y, int64_t x) { return int{result.pixels[(y * 16 + x) * 3]}; };
  EXPECT_EQ(at(7, 7), 210);
  EXPECT_EQ(at(5, 7), 110);
  EXPECT_EQ(at(5, 5), 110);
  EXPECT_EQ(at(4, 7), 10);
  EXPECT_EQ(paste_outside(painted, photo, hole, 0).pixels[(5 * 16 + 7) * 3], 10);
}

class Pipeline : public ::testing::Test {
 protected:
  void SetUp() override {
    models::BaseOptions options;
    options.model = LIMEWASH_SOURCE_DIR "/models/limewash-tiny";
    base_ = models::load_base_model(options);
    for (uint64_t id = 0; id < 2; ++id) {
      const data::Room room(5, id, 64);
      photos_.push_back(room.render({0.7f, 0.6f, 0.5f}));
      walls_.push_back(room.mask());
    }
  }
  std::vector<PaintRequest> two_requests() const {
    std::vector<PaintRequest> requests;
    for (size_t i = 0; i < 2; ++i) {
      requests.push_back({photos_[i],
                          walls_[i],
                          data::render_swatch(reference_,
                                              {0.1f, 0.4f, 0.8f},
                                              kSwatchSize,
                                              RandomStream(0, Purpose::kSwatch, 0, 0),
                                              true),
                          "room " + std::to_string(i)});
    }
    return requests;
  }
  static int largest_difference(const data::Image& a, const data::Image& b) {
    int largest = 0;
    for (size_t i = 0; i < a.pixels.size(); ++i)
      largest = std::max(largest, std::abs(a.pixels[i] - b.pixels.at(i)));
    return largest;
  }
  models::BaseModel base_;
  data::ReferenceOptions reference_;
  std::vector<data::Image> photos_;
  std::vector<data::Mask> walls_;
};

TEST_F(Pipeline, HolesDoNotShowTheOldColour) {
  const EncodedHoles holes = encode_holes(base_, reference_, photos_, walls_);
  EXPECT_EQ(holes.mask.sizes(), (std::vector<int64_t>{2, 1, 8, 8}));
  const data::Room room(5, 0, 64);
  const std::vector<data::Image> other = {room.render({0.2f, 0.7f, 0.3f})};
  const EncodedHoles repainted = encode_holes(base_, reference_, other, {walls_.data(), 1});
  const at::Tensor difference =
      (repainted.hole_latents[0] - holes.hole_latents[0]).abs() * holes.mask[0];
  // A repainted wall with the colour kept would differ by several units.
  EXPECT_LT(difference.mean().item<double>(), 0.1);
}

TEST_F(Pipeline, PaintsTheSameAloneAndInABatch) {
  models::AdapterOptions options;
  models::Adapter adapter(base_.unet, options, base_.image_encoder->config().projection_dim, 1);
  const auto requests = two_requests();
  const auto both = paint(base_, &adapter, reference_, {3, 1.5}, 42, requests);
  const auto alone = paint(base_, &adapter, reference_, {3, 1.5}, 42, {&requests[1], 1});
  ASSERT_TRUE(both && alone);
  EXPECT_EQ(both->at(1).height, 64);
  EXPECT_LE(largest_difference(both->at(1), alone->at(0)), 1);
}

TEST_F(Pipeline, PaintsTheSameOnAnotherDevice) {
  const auto requests = two_requests();
  for (const char* kind : {"base", "plus"}) {
    models::AdapterOptions options;
    options.ip_adapter.kind = kind;
    const auto& encoder = base_.image_encoder->config();
    const auto width =
        std::string(kind) == "plus" ? encoder.encoder.hidden_size : encoder.projection_dim;
    std::vector<std::vector<data::Image>> pictures;
    for (const auto& device : {at::Device(at::kCPU), blind_device()}) {
      models::move_to(base_, device);
      models::Adapter adapter(base_.unet, options, width, 1);
      const auto painted = paint(base_, &adapter, reference_, {3, 1.5}, 42, requests);
      ASSERT_TRUE(painted);
      pictures.push_back(*painted);
      pictures.push_back(round_trip(base_, photos_));
    }
    models::move_to(base_, at::kCPU);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_LE(largest_difference(pictures[0][i], pictures[2][i]), 1) << kind;
      EXPECT_LE(largest_difference(pictures[1][i], pictures[3][i]), 1) << kind;
    }
  }
}

}  // namespace
}  // namespace limewash::inference
