#include "data/room_material.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/room_builder.h"
#include "runtime/random.h"

namespace limewash::data::rooms {
namespace {

constexpr float kTurn = 2 * std::numbers::pi_v<float>;

/// Uniform in [0, 1), a pure function of the pattern's key and two cell numbers.
float cell_random(uint32_t key, int first, int second) {
  const auto block =
      philox4x32({static_cast<uint32_t>(first), static_cast<uint32_t>(second), 0, 0}, {key, 0});
  return static_cast<float>(block[0] >> 8) * 0x1p-24f;
}

int cell(float value) {
  return static_cast<int>(std::floor(value));
}

/// The mean over [at - width/2, at + width/2] of lines `line` wide that repeat every `period`.
float line_coverage(float at, float width, float period, float line) {
  const auto integral = [&](float x) {
    const float whole_periods = std::floor(x / period);
    return whole_periods * line + std::min(x - whole_periods * period, line);
  };
  width = std::max(width, 1e-4f);
  return (integral(at + 0.5f * width) - integral(at - 0.5f * width)) / width;
}

/// How much of a pattern of `period` is left where a pixel covers `footprint`.
float visible(float footprint, float period) {
  return std::clamp(1.5f - footprint / period, 0.0f, 1.0f);
}

float step_over(float edge, float value, float width) {
  const float half = std::max(0.5f * width, 1e-4f);
  return std::clamp((value - edge) / (2 * half) + 0.5f, 0.0f, 1.0f);
}

Linear planks(const Material& material, const SurfacePoint& point) {
  const float width = material.size, length = 9 * width;
  const int row = cell(point.metres[0] / width);
  const float along = point.metres[1] + length * cell_random(material.key, row, -7);
  const int piece = cell(along / length);
  const float tone = (cell_random(material.key, row, piece) - 0.5f) * 2 * material.amount *
                     visible(point.footprint[0], width);
  const float grain = 0.03f * visible(point.footprint[0], 0.3f * width) *
                      std::sin(kTurn * (point.metres[0] / (0.3f * width) +
                                        0.6f * std::sin(along * 2.1f + static_cast<float>(row))));
  const float joints = std::max(line_coverage(point.metres[0], point.footprint[0], width, 0.007f),
                                line_coverage(along, point.footprint[1], length, 0.007f));
  return scaled(material.color, (1 + tone + grain) * (1 - 0.55f * joints));
}

Linear tiles(const Material& material, const SurfacePoint& point) {
  const float side = material.size;
  const float fade = visible(std::max(point.footprint[0], point.footprint[1]), side);
  const float tone =
      (cell_random(material.key, cell(point.metres[0] / side), cell(point.metres[1] / side)) -
       0.5f) *
      2 * material.amount * fade;
  const float joint = std::max(line_coverage(point.metres[0], point.footprint[0], side, 0.012f),
                               line_coverage(point.metres[1], point.footprint[1], side, 0.012f));
  return mixed(scaled(material.color, 1 + tone), material.accent, joint);
}

/// Distance to the nearest edge, in shares of the bounds.
float from_edge(const Plane2& share) {
  return std::min({share[0], 1 - share[0], share[1], 1 - share[1]});
}

Linear rug(const Material& material, const SurfacePoint& point) {
  const float edge = from_edge(point.share);
  const float border = step_over(0.05f, edge, 0.02f) * (1 - step_over(0.11f, edge, 0.02f));
  const float wave = std::sin(kTurn * static_cast<float>(material.count) * point.share[0]);
  const float stripes = material.count > 0 && edge > 0.14f ? 0.25f * (0.5f + 0.5f * wave) : 0.0f;
  return mixed(material.color, material.accent, std::max(border, stripes));
}

Linear art(const Material& material, const SurfacePoint& point) {
  const float u = point.share[0], v = point.share[1];
  const float phase = kTurn * cell_random(material.key, 1, 1);
  const float place = 0.3f + 0.4f * cell_random(material.key, 2, 1);
  const Linear third = mixed(material.accent, {0.9f, 0.85f, 0.75f}, 0.6f);
  switch (material.count) {
    case 0: {  // hills under a sky
      const float far_hill = place + 0.1f * std::sin(4 * u + phase);
      const float near_hill = 0.6f * place + 0.12f * std::sin(3 * u + 2 * phase);
      Linear color = mixed(third, material.accent, std::clamp(v, 0.0f, 1.0f) * 0.7f);
      color = mixed(color, mixed(material.color, third, 0.35f), 1 - step_over(far_hill, v, 0.04f));
      return mixed(color, scaled(material.color, 0.6f), 1 - step_over(near_hill, v, 0.04f));
    }
    case 1: {  // blocks
      const int column = u < place ? 0 : 1;
      const int row = v < 0.25f + 0.5f * cell_random(material.key, column, 3) ? 0 : 1;
      const float pick = cell_random(material.key, 10 + column, row);
      return pick < 0.35f ? material.color : pick < 0.7f ? material.accent : third;
    }
    case 2: {  // a disc
      const float radius = std::hypot(u - 0.5f, v - place);
      const float ground = 1 - step_over(0.3f, v, 0.04f);
      const Linear back = mixed(third, scaled(material.color, 0.8f), ground);
      return mixed(back, material.accent, 1 - step_over(0.22f, radius, 0.05f));
    }
    default: {  // waves
      const float wave =
          0.5f + 0.5f * std::sin(kTurn * (1.4f * u + 0.9f * v) + phase + 1.5f * std::sin(4 * v));
      return mixed(material.color, mixed(material.accent, third, v), wave);
    }
  }
}

Linear sky(const Material& material, const SurfacePoint& point) {
  const float v = point.share[1];
  const float hill = material.size + 0.05f * std::sin(5 * point.share[0] + material.amount);
  Linear color = mixed({0.93f, 0.95f, 0.98f}, material.color, std::clamp(v, 0.0f, 1.0f));
  return mixed(color, material.accent, 0.75f * (1 - step_over(hill, v, 0.08f)));
}

Linear lamp_shade(const Material& material, const SurfacePoint& point) {
  const float across = 2 * point.share[0] - 1;
  const float up = point.share[1] - 0.45f;
  return scaled(material.color, 1.04f - 0.22f * across * across - 0.5f * up * up);
}

Linear door_panels(const Material& material, const SurfacePoint& point) {
  const float u = point.share[0];
  float line = 0;
  for (const auto& [low, high] : {std::pair{0.06f, 0.42f}, std::pair{0.5f, 0.94f}}) {
    const float outside =
        std::max(std::abs(u - 0.5f) - 0.33f,
                 (std::abs(point.share[1] - 0.5f * (low + high)) - 0.5f * (high - low)) * 2.2f);
    line = std::max(line, 1 - std::abs(outside) / 0.035f);
  }
  return scaled(material.color, 1 - 0.22f * std::max(0.0f, line));
}

Linear fronts(const Material& material, const SurfacePoint& point) {
  const float count = static_cast<float>(material.count);
  const float within = point.share[0] * count - std::floor(point.share[0] * count);
  const float extent = std::max(material.size, 0.1f);  // metres of one front
  const float gap = std::min(within, 1 - within) * extent;
  const float gap_share = 1 - step_over(0.008f, gap, point.footprint[0]);
  const float knob =
      std::hypot((within - 0.5f) * extent, (point.share[1] - 0.75f) * material.amount);
  Linear color = scaled(material.color, 1 - 0.55f * gap_share);
  return mixed(color, material.accent, 1 - step_over(0.03f, knob, point.footprint[0]));
}

Linear books(const Material& material, const SurfacePoint& point) {
  const float rows = static_cast<float>(material.count);
  const float level = point.share[1] * rows;
  const int row = cell(level);
  const float up = level - std::floor(level);
  constexpr float kBoard = 0.09f;
  if (up < kBoard) return material.color;
  const Linear dark = scaled(material.color, 0.28f);
  // Books stand from one side to where the shelf's own number says; then a gap, or one vase.
  const float filled = 0.35f + 0.6f * cell_random(material.key, row, 100);
  const float across =
      cell_random(material.key, row, 101) < 0.5f ? point.share[0] : 1 - point.share[0];
  const float spine = across * material.size / 0.055f;  // size: the shelf's width in metres
  const int book = cell(spine);
  const float height = 0.55f + 0.35f * cell_random(material.key, row, book);
  if (across > filled || (up - kBoard) > height * (1 - kBoard)) return dark;
  const float pick = cell_random(material.key, book, row + 50);
  const Linear base = pick < 0.4f   ? material.accent
                      : pick < 0.7f ? Linear{0.62f, 0.57f, 0.48f}
                                    : Linear{0.16f, 0.2f, 0.28f};
  const float tone = 0.5f + 0.8f * cell_random(material.key, book + 7, row);
  const float fade = visible(point.footprint[0], 0.055f);
  const float edge = spine - std::floor(spine);
  return scaled(base, (1 + (tone - 1) * (0.4f + 0.6f * fade)) * (edge < 0.12f ? 0.7f : 1.0f));
}

}  // namespace

Linear surface_color(const Material& material, const SurfacePoint& point) {
  switch (material.texture) {
    case Texture::kPlain:
      return material.color;
    case Texture::kCushion: {
      // Rounded off towards every edge, most at the lower one.
      const float edge = std::min(1.0f, from_edge(point.share) / 0.14f);
      const float low = std::min(1.0f, point.share[1] / 0.25f);
      return scaled(material.color, 0.74f + 0.2f * std::sqrt(edge) + 0.06f * low);
    }
    case Texture::kPlanks:
      return planks(material, point);
    case Texture::kTiles:
      return tiles(material, point);
    case Texture::kRug:
      return rug(material, point);
    case Texture::kArt:
      return art(material, point);
    case Texture::kSky:
      return sky(material, point);
    case Texture::kShade:
      return lamp_shade(material, point);
    case Texture::kPanels:
      return door_panels(material, point);
    case Texture::kFronts:
      return fronts(material, point);
    case Texture::kBooks:
      return books(material, point);
    case Texture::kFolds: {
      const float folds = static_cast<float>(material.count);
      const float wave =
          std::sin(kTurn * folds * point.share[0] + 0.4f * std::sin(3 * point.share[1]));
      return scaled(material.color, 0.88f + 0.14f * wave);
    }
    case Texture::kRound: {
      const float across = 2 * point.share[0] - 0.8f;
      return scaled(material.color, 1.08f - 0.4f * across * across);
    }
  }
  return material.color;
}

}  // namespace limewash::data::rooms
