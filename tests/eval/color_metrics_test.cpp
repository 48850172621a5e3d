#include "eval/color_metrics.h"

#include <cmath>

#include <gmock/gmock.h>

#include "data/room.h"
#include "tests/eval/golden_pictures.h"

namespace limewash::eval {
namespace {

using ::testing::DoubleNear;
using ::testing::Optional;

data::Image plain(int64_t size, uint8_t r, uint8_t g, uint8_t b) {
  data::Image image{size, size, {}};
  for (int64_t i = 0; i < size * size; ++i) image.pixels.insert(image.pixels.end(), {r, g, b});
  return image;
}

data::Mask square(int64_t size, int64_t begin, int64_t end) {
  data::Mask mask{size, size, std::vector<uint8_t>(size * size, 0)};
  for (int64_t y = begin; y < end; ++y) {
    for (int64_t x = begin; x < end; ++x) mask.pixels[y * size + x] = 255;
  }
  return mask;
}

TEST(LabImage, TheTableAgreesWithTheConversionOfEachPixel) {
  data::Image image{64, 64, {}};
  for (int i = 0; i < 64 * 64; ++i) {
    for (const int factor : {1, 37, 91})
      image.pixels.push_back(static_cast<uint8_t>(i * factor / 7));
  }
  const LabImage lab = to_lab(image);
  for (size_t i = 0; i < lab.pixels.size(); ++i) {
    const uint8_t* pixel = &image.pixels[3 * i];
    const data::Lab expected = data::rgb_to_lab({static_cast<float>(pixel[0]) / 255,
                                                 static_cast<float>(pixel[1]) / 255,
                                                 static_cast<float>(pixel[2]) / 255});
    for (int axis = 0; axis < 3; ++axis) ASSERT_NEAR(lab.pixels[i][axis], expected[axis], 1e-4);
  }
}

TEST(Regions, SplitEveryPixelIntoHoleRingAndOutside) {
  const Regions regions = split_regions(square(20, 8, 12), 3);
  EXPECT_EQ(regions.hole.size(), 16u);
  EXPECT_EQ(regions.ring.size(), 100u - 16u);
  EXPECT_EQ(regions.outside.size(), 400u - 100u);
  const Regions corner = split_regions(square(20, 0, 2), 3);
  EXPECT_EQ(corner.ring.size(), 25u - 4u);
}

TEST(HueError, GoesTheShortWayRoundTheCircle) {
  const auto at = [](double degrees) {
    const double angle = degrees * 3.14159265358979 / 180;
    return data::Lab{
        50, static_cast<float>(30 * std::cos(angle)), static_cast<float>(30 * std::sin(angle))};
  };
  EXPECT_THAT(hue_error(at(350), at(10)), Optional(DoubleNear(20, 1e-4)));
  EXPECT_THAT(hue_error(at(10), at(350)), Optional(DoubleNear(20, 1e-4)));
  EXPECT_THAT(hue_error(at(179), at(-179)), Optional(DoubleNear(2, 1e-4)));
  EXPECT_THAT(hue_error(at(0), at(180)), Optional(DoubleNear(180, 1e-4)));
}

TEST(HueError, IsMissingForGrey) {
  const data::Lab grey{50, 3, 3}, red{50, 40, 10};
  EXPECT_EQ(hue_error(grey, red), std::nullopt);
  EXPECT_EQ(hue_error(red, grey), std::nullopt);
}

TEST(ColorMetrics, AgreeWithScikitImage) {
  const GoldenPictures pictures;
  const auto asked = pictures.golden.at("asked").get<std::array<float, 3>>();
  const Metrics metrics = measure_color(pictures.b, pictures.mask, to_lab(asked));
  for (const auto& [name, expected] : pictures.golden.at("color").items()) {
    EXPECT_THAT(metrics.get(name), Optional(DoubleNear(expected.get<double>(), 1e-4))) << name;
  }
}

TEST(ColorMetrics, ATwoColouredWallDoesNotPassForItsMean) {
  data::Image wall = plain(16, 200, 40, 40);
  for (size_t i = 0; i < wall.pixels.size() / 2; i += 3)
    wall.pixels[i] = 40, wall.pixels[i + 2] = 200;
  const Metrics metrics =
      measure_color(wall, square(16, 0, 16), to_lab({120 / 255.f, 40 / 255.f, 120 / 255.f}));
  EXPECT_GT(*metrics.get("delta_e_2000_pixel"), 15);
}

TEST(MeasurePainting, AgreesWithTheReferenceLibraries) {
  const GoldenPictures pictures;
  const Metrics metrics = measure_painting(
      {pictures.b, pictures.a, pictures.mask, pictures.mask, {0.4f, 0.5f, 0.7f}, &pictures.a});
  EXPECT_THAT(metrics.get("delta_e_2000_exact"),
              Optional(DoubleNear(pictures.golden.at("exact").get<double>(), 1e-4)));
  EXPECT_THAT(metrics.get("shading_fidelity"),
              Optional(DoubleNear(pictures.golden.at("shading_fidelity").get<double>(), 1e-4)));
}

TEST(MeasurePainting, AnExactRepaintIsNearlyPerfectAndFlatPaintIsNot) {
  const data::Room room(3, 1, 96);
  const data::Rgb asked{0.2f, 0.45f, 0.6f};
  const data::Image source = room.render({0.8f, 0.7f, 0.6f}), exact = room.render(asked);
  const Metrics perfect =
      measure_painting({exact, source, room.mask(), room.mask(), asked, &exact});
  EXPECT_EQ(perfect.get("delta_e_2000_exact"), 0.0);
  EXPECT_LT(*perfect.get("delta_e_2000"), 2.0);
  EXPECT_NEAR(*perfect.get("shading_fidelity"), 1.0, 1e-9);

  data::Image flat = source;
  for (const int64_t i : inside(room.mask())) {
    for (int c = 0; c < 3; ++c)
      flat.pixels[3 * i + c] = static_cast<uint8_t>(std::lround(asked[c] * 255));
  }
  const Metrics painted = measure_painting({flat, source, room.mask(), room.mask(), asked, &exact});
  EXPECT_LT(*painted.get("delta_e_2000"), 0.3);
  EXPECT_GT(*painted.get("delta_e_2000_exact"), 1.0);
  EXPECT_EQ(painted.get("shading_fidelity"), std::nullopt);
}

TEST(MeasurePainting, TheHoleDoesNotCountOutside) {
  const GoldenPictures pictures;
  data::Image painted = pictures.a;
  for (const int64_t i : inside(pictures.mask)) painted.pixels[3 * i] ^= 0x55;
  const Metrics metrics = measure_painting(
      {painted, pictures.a, pictures.mask, pictures.mask, {0.4f, 0.5f, 0.7f}, nullptr});
  EXPECT_THAT(metrics.get("ssim_outside"), Optional(DoubleNear(1.0, 1e-12)));
  EXPECT_EQ(metrics.get("delta_e_2000_outside"), 0.0);
  EXPECT_EQ(metrics.get("edge_bleed"), 0.0);
  EXPECT_EQ(metrics.get("psnr_outside"), std::nullopt);  // equal pictures: infinite
  EXPECT_EQ(metrics.get("delta_e_2000_exact"), std::nullopt);
}

TEST(MeasurePainting, ChangesOutsideAndAtTheEdgeAreTold) {
  const data::Image source = plain(40, 128, 120, 110);
  const data::Mask wall = square(40, 10, 30);
  data::Image painted = source;
  for (const int64_t i : split_regions(wall).ring) painted.pixels[3 * i] = 180;
  Metrics metrics = measure_painting({painted, source, wall, wall, {0.5f, 0.5f, 0.5f}, nullptr});
  EXPECT_GT(*metrics.get("edge_bleed"), 5);
  EXPECT_EQ(metrics.get("delta_e_2000_outside"), 0.0);
  painted.pixels[0] = 250;
  metrics = measure_painting({painted, source, wall, wall, {0.5f, 0.5f, 0.5f}, nullptr});
  EXPECT_GT(*metrics.get("delta_e_2000_outside"), 0.0);
  EXPECT_TRUE(metrics.get("psnr_outside"));
}

TEST(MeasurePainting, AnEmptyCoreIsMissing) {
  const data::Image image = plain(24, 90, 80, 70);
  const data::Mask wall = square(24, 4, 20), none = square(24, 0, 0);
  const Metrics metrics = measure_painting({image, image, wall, none, {0.5f, 0.4f, 0.3f}, nullptr});
  for (const char* name : {"delta_e_2000",
                           "delta_e_76",
                           "lab_distance",
                           "delta_e_2000_pixel",
                           "delta_e_2000_p95",
                           "hue_error",
                           "lightness_difference",
                           "chroma_difference"}) {
    EXPECT_EQ(metrics.get(name), std::nullopt) << name;
  }
}

TEST(MeasurePainting, APictureThatIsNotFiniteMissesEverything) {
  const data::Image image = plain(24, 90, 80, 70);
  const data::Mask wall = square(24, 4, 20);
  const Metrics metrics = measure_painting({{}, image, wall, wall, {0.5f, 0.4f, 0.3f}, &image});
  const Metrics whole = measure_painting({image, image, wall, wall, {0.5f, 0.4f, 0.3f}, &image});
  EXPECT_EQ(metrics.values.size(), whole.values.size());
  for (const auto& [name, value] : metrics.values) EXPECT_EQ(value, std::nullopt) << name;
}

}  // namespace
}  // namespace limewash::eval
