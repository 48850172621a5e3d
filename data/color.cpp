#include "data/color.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace limewash::data {
namespace {

// D65, 2 degrees; matrix and white as scikit-image has them.
constexpr double kWhite[3] = {0.95047, 1.0, 1.08883};
constexpr double kToXyz[3][3] = {
    {0.412453, 0.357580, 0.180423}, {0.212671, 0.715160, 0.072169}, {0.019334, 0.119193, 0.950227}};

struct Inverse {
  double m[3][3];
};

constexpr Inverse invert(const double (&m)[3][3]) {
  const double determinant = m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
                             m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
                             m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]);
  Inverse inverse{};
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 3; ++column) {
      const int r1 = (column + 1) % 3, r2 = (column + 2) % 3;
      const int c1 = (row + 1) % 3, c2 = (row + 2) % 3;
      inverse.m[row][column] = (m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]) / determinant;
    }
  }
  return inverse;
}

constexpr Inverse kFromXyz = invert(kToXyz);

double to_linear(double value) {
  return value > 0.04045 ? std::pow((value + 0.055) / 1.055, 2.4) : value / 12.92;
}

double lightness_curve(double ratio) {
  return ratio > 0.008856 ? std::cbrt(ratio) : 7.787 * ratio + 16.0 / 116.0;
}

double inverse_lightness_curve(double value) {
  return value > 0.2068966 ? value * value * value : (value - 16.0 / 116.0) / 7.787;
}

double degrees(double radians) {
  return radians * 180.0 / std::numbers::pi;
}

double radians(double angle) {
  return angle * std::numbers::pi / 180.0;
}

double hue_angle(double a, double b) {
  if (a == 0 && b == 0) return 0;
  const double angle = degrees(std::atan2(b, a));
  return angle < 0 ? angle + 360.0 : angle;
}

}  // namespace

float srgb_to_linear(float value) {
  return static_cast<float>(to_linear(value));
}

float linear_to_srgb(float value) {
  const float clipped = std::clamp(value, 0.0f, 1.0f);
  return clipped > 0.0031308f ? 1.055f * std::pow(clipped, 1.0f / 2.4f) - 0.055f : 12.92f * clipped;
}

Lab rgb_to_lab(const Rgb& rgb) {
  const double linear[3] = {to_linear(rgb[0]), to_linear(rgb[1]), to_linear(rgb[2])};
  double curve[3];
  for (int row = 0; row < 3; ++row) {
    double sum = 0;
    for (int column = 0; column < 3; ++column) sum += kToXyz[row][column] * linear[column];
    curve[row] = lightness_curve(sum / kWhite[row]);
  }
  return {static_cast<float>(116.0 * curve[1] - 16.0),
          static_cast<float>(500.0 * (curve[0] - curve[1])),
          static_cast<float>(200.0 * (curve[1] - curve[2]))};
}

Rgb lab_to_rgb(const Lab& lab) {
  const double y = (lab[0] + 16.0) / 116.0;
  const double x = lab[1] / 500.0 + y;
  const double z = std::max(0.0, y - lab[2] / 200.0);
  const double xyz[3] = {inverse_lightness_curve(x) * kWhite[0],
                         inverse_lightness_curve(y) * kWhite[1],
                         inverse_lightness_curve(z) * kWhite[2]};
  Rgb rgb;
  for (int row = 0; row < 3; ++row) {
    double sum = 0;
    for (int column = 0; column < 3; ++column) sum += kFromXyz.m[row][column] * xyz[column];
    rgb[row] = linear_to_srgb(static_cast<float>(sum));
  }
  return rgb;
}

double delta_e_76(const Lab& a, const Lab& b) {
  double sum = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const double difference = static_cast<double>(a[axis]) - b[axis];
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

double delta_e_2000(const Lab& first, const Lab& second) {
  const double l1 = first[0], a1 = first[1], b1 = first[2];
  const double l2 = second[0], a2 = second[1], b2 = second[2];
  constexpr double k25To7 = 6103515625.0;

  const double mean_chroma = 0.5 * (std::hypot(a1, b1) + std::hypot(a2, b2));
  const double chroma7 = std::pow(mean_chroma, 7);
  const double stretch = 1.0 + 0.5 * (1.0 - std::sqrt(chroma7 / (chroma7 + k25To7)));
  const double c1 = std::hypot(stretch * a1, b1), c2 = std::hypot(stretch * a2, b2);
  const double h1 = hue_angle(stretch * a1, b1), h2 = hue_angle(stretch * a2, b2);

  const bool achromatic = c1 * c2 == 0;
  double hue_step = achromatic ? 0 : h2 - h1;
  // Exactly opposite hues must not fall to either side by rounding.
  constexpr double kHalfTurn = 180 + 1e-9;
  if (hue_step > kHalfTurn) hue_step -= 360;
  if (hue_step < -kHalfTurn) hue_step += 360;
  double mean_hue = h1 + h2;
  if (!achromatic) {
    if (std::abs(h1 - h2) > kHalfTurn) mean_hue += mean_hue < 360 ? 360 : -360;
    mean_hue *= 0.5;
  }

  const double lightness_step = l2 - l1, chroma_step = c2 - c1;
  const double hue_distance = 2.0 * std::sqrt(c1 * c2) * std::sin(radians(hue_step) / 2);

  const double mean_l = 0.5 * (l1 + l2), mean_c = 0.5 * (c1 + c2);
  const double t =
      1.0 - 0.17 * std::cos(radians(mean_hue - 30)) + 0.24 * std::cos(radians(2 * mean_hue)) +
      0.32 * std::cos(radians(3 * mean_hue + 6)) - 0.20 * std::cos(radians(4 * mean_hue - 63));
  const double off_grey = (mean_l - 50) * (mean_l - 50);
  const double scale_l = 1.0 + 0.015 * off_grey / std::sqrt(20.0 + off_grey);
  const double scale_c = 1.0 + 0.045 * mean_c;
  const double scale_h = 1.0 + 0.015 * mean_c * t;

  const double mean_c7 = std::pow(mean_c, 7);
  const double from_blue = (mean_hue - 275) / 25;
  const double rotation_angle = 60.0 * std::exp(-from_blue * from_blue);
  const double rotation =
      -std::sin(radians(rotation_angle)) * 2.0 * std::sqrt(mean_c7 / (mean_c7 + k25To7));

  const double dl = lightness_step / scale_l, dc = chroma_step / scale_c,
               dh = hue_distance / scale_h;
  return std::sqrt(std::max(0.0, dl * dl + dc * dc + dh * dh + rotation * dc * dh));
}

}  // namespace limewash::data
