#include "data/color.h"

#include <array>
#include <cmath>

#include <gtest/gtest.h>

namespace limewash::data {
namespace {

struct GoldenLab {
  std::array<int, 3> bytes;
  std::array<double, 3> lab;
};

// skimage.color.rgb2lab, scikit-image 0.26.
constexpr GoldenLab kGoldenLab[] = {
    {{255, 0, 0}, {53.2406, 80.0923, 67.2028}},
    {{0, 255, 0}, {87.7351, -86.1830, 83.1797}},
    {{0, 0, 255}, {32.2957, 79.1856, -107.8573}},
    {{255, 255, 255}, {100, -0.0025, 0.0047}},
    {{128, 128, 128}, {53.5850, -0.0015, 0.0028}},
    {{51, 102, 153}, {42.0080, -0.1540, -32.8429}},
    {{185, 160, 140}, {67.5392, 6.0226, 13.8222}},
    {{0, 0, 0}, {0, 0, 0}},
    {{207, 21, 45}, {44.22649, 66.95103, 38.54154}},
    {{60, 46, 205}, {32.52622, 53.98136, -78.85415}},
    {{222, 149, 10}, {67.31481, 18.45952, 70.70005}},
    {{8, 29, 115}, {16.34328, 29.01169, -50.73851}},
    {{100, 227, 132}, {81.462, -55.38483, 36.00375}},
};

struct GoldenRgb {
  Lab lab;
  std::array<double, 3> rgb;
};

// skimage.color.lab2rgb.
constexpr GoldenRgb kGoldenRgb[] = {
    {{50, 20, 30}, {0.644128, 0.411148, 0.26948}},
    {{70, -30, 10}, {0.44744, 0.727379, 0.59613}},
    {{20, 5, -20}, {0.141902, 0.186022, 0.303899}},
    {{92, 1, 4}, {0.931279, 0.906297, 0.880194}},
    {{5, 1, 1}, {0.07585, 0.063575, 0.059152}},
};

struct ColorPair {
  Lab first, second;
  double difference;
};

// Sharma, Wu, Dalal 2005, table 1; each checked with skimage.color.deltaE_ciede2000.
constexpr ColorPair kSharmaPairs[] = {
    {{50, 2.6772f, -79.7751f}, {50, 0, -82.7485f}, 2.0425},
    {{50, 3.1571f, -77.2803f}, {50, 0, -82.7485f}, 2.8615},
    {{50, 2.8361f, -74.0200f}, {50, 0, -82.7485f}, 3.4412},
    {{50, -1.3802f, -84.2814f}, {50, 0, -82.7485f}, 1.0000},
    {{50, -1.1848f, -84.8006f}, {50, 0, -82.7485f}, 1.0000},
    {{50, -0.9009f, -85.5211f}, {50, 0, -82.7485f}, 1.0000},
    {{50, 0, 0}, {50, -1, 2}, 2.3669},
    {{50, -1, 2}, {50, 0, 0}, 2.3669},
    {{50, 2.49f, -0.001f}, {50, -2.49f, 0.0009f}, 7.1792},
    {{50, 2.49f, -0.001f}, {50, -2.49f, 0.0010f}, 7.1792},
    {{50, 2.49f, -0.001f}, {50, -2.49f, 0.0011f}, 7.2195},
    {{50, 2.49f, -0.001f}, {50, -2.49f, 0.0012f}, 7.2195},
    {{50, -0.001f, 2.49f}, {50, 0.0009f, -2.49f}, 4.8045},
    {{50, -0.001f, 2.49f}, {50, 0.0010f, -2.49f}, 4.8045},
    {{50, -0.001f, 2.49f}, {50, 0.0011f, -2.49f}, 4.7461},
    {{50, 2.5f, 0}, {50, 0, -2.5f}, 4.3065},
    {{50, 2.5f, 0}, {73, 25, -18}, 27.1492},
    {{50, 2.5f, 0}, {61, -5, 29}, 22.8977},
    {{50, 2.5f, 0}, {56, -27, -3}, 31.9030},
    {{50, 2.5f, 0}, {58, 24, 15}, 19.4535},
    {{50, 2.5f, 0}, {50, 3.1736f, 0.5854f}, 1.0000},
    {{50, 2.5f, 0}, {50, 3.2972f, 0}, 1.0000},
    {{50, 2.5f, 0}, {50, 1.8634f, 0.5757f}, 1.0000},
    {{50, 2.5f, 0}, {50, 3.2592f, 0.3350f}, 1.0000},
    {{60.2574f, -34.0099f, 36.2677f}, {60.4626f, -34.1751f, 39.4387f}, 1.2644},
    {{63.0109f, -31.0961f, -5.8663f}, {62.8187f, -29.7946f, -4.0864f}, 1.2630},
    {{61.2901f, 3.7196f, -5.3901f}, {61.4292f, 2.2480f, -4.9620f}, 1.8731},
    {{35.0831f, -44.1164f, 3.7933f}, {35.0232f, -40.0716f, 1.5901f}, 1.8645},
    {{22.7233f, 20.0904f, -46.6940f}, {23.0331f, 14.9730f, -42.5619f}, 2.0373},
    {{36.4612f, 47.8580f, 18.3852f}, {36.2715f, 50.5065f, 21.2231f}, 1.4146},
    {{90.8027f, -2.0831f, 1.4410f}, {91.1528f, -1.6435f, 0.0447f}, 1.4441},
    {{90.9257f, -0.5406f, -0.9208f}, {88.6381f, -0.8985f, -0.7239f}, 1.5381},
    {{6.7747f, -0.2908f, -2.4247f}, {5.8714f, -0.0985f, -2.2286f}, 0.6377},
    {{2.0776f, 0.0795f, -1.1350f}, {0.9033f, -0.0636f, -0.5514f}, 0.9082},
};

Rgb from_bytes(const std::array<int, 3>& bytes) {
  return {static_cast<float>(bytes[0]) / 255,
          static_cast<float>(bytes[1]) / 255,
          static_cast<float>(bytes[2]) / 255};
}

TEST(Color, LabAgreesWithScikitImage) {
  for (const GoldenLab& golden : kGoldenLab) {
    const Lab lab = rgb_to_lab(from_bytes(golden.bytes));
    for (size_t axis = 0; axis < 3; ++axis) {
      EXPECT_NEAR(lab[axis], golden.lab[axis], 1e-4) << golden.bytes[0] << ' ' << golden.bytes[1]
                                                     << ' ' << golden.bytes[2] << " axis " << axis;
    }
  }
}

TEST(Color, RgbOfLabAgreesWithScikitImage) {
  for (const GoldenRgb& golden : kGoldenRgb) {
    const Rgb rgb = lab_to_rgb(golden.lab);
    for (size_t c = 0; c < 3; ++c) EXPECT_NEAR(rgb[c], golden.rgb[c], 1e-4) << golden.lab[0];
  }
}

TEST(Color, EveryByteSurvivesTheWayToLabAndBack) {
  for (int red = 0; red < 256; red += 15) {
    for (int green = 0; green < 256; green += 15) {
      for (int blue = 0; blue < 256; blue += 15) {
        const Rgb rgb = from_bytes({red, green, blue});
        const Rgb back = lab_to_rgb(rgb_to_lab(rgb));
        for (size_t c = 0; c < 3; ++c) ASSERT_NEAR(back[c], rgb[c], 2e-4);
      }
    }
  }
}

TEST(Color, OutOfGamutColorsAreClipped) {
  const Rgb rgb = lab_to_rgb({60, 120, -80});
  for (const float channel : rgb) {
    EXPECT_GE(channel, 0);
    EXPECT_LE(channel, 1);
  }
  EXPECT_EQ(rgb[1], 0);
}

TEST(Color, LinearLightGoesBothWays) {
  EXPECT_FLOAT_EQ(srgb_to_linear(0), 0);
  EXPECT_FLOAT_EQ(srgb_to_linear(1), 1);
  EXPECT_NEAR(srgb_to_linear(0.5f), 0.2140411, 1e-6);
  EXPECT_NEAR(srgb_to_linear(0.04f), 0.04 / 12.92, 1e-8);
  EXPECT_EQ(linear_to_srgb(-1), 0);
  EXPECT_FLOAT_EQ(linear_to_srgb(2), 1);
  for (int i = 0; i < 256; ++i) {
    const float value = static_cast<float>(i) / 255;
    EXPECT_NEAR(linear_to_srgb(srgb_to_linear(value)), value, 1e-5);
  }
}

TEST(Color, DeltaE2000GivesThePublishedTable) {
  static_assert(std::size(kSharmaPairs) == 34);
  for (const ColorPair& pair : kSharmaPairs) {
    EXPECT_NEAR(delta_e_2000(pair.first, pair.second), pair.difference, 1e-4);
    EXPECT_NEAR(delta_e_2000(pair.second, pair.first), pair.difference, 1e-4);
  }
}

TEST(Color, DifferencesOfBytesAgreeWithScikitImage) {
  const Lab a = rgb_to_lab(from_bytes({185, 160, 140}));
  const Lab b = rgb_to_lab(from_bytes({150, 175, 150}));
  EXPECT_NEAR(delta_e_76(a, b), 19.960711741116217, 1e-4);
  EXPECT_NEAR(delta_e_2000(a, b), 22.303615382653906, 1e-4);
  EXPECT_EQ(delta_e_76(a, a), 0);
  EXPECT_EQ(delta_e_2000(a, a), 0);
}

}  // namespace
}  // namespace limewash::data
