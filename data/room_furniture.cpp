#include <algorithm>

#include "data/room_objects.h"

namespace limewash::data::rooms {
namespace {

Material cushion(const Linear& color) {
  return textured(Texture::kCushion, color);
}

void add_legs(Frame& frame, const Box& bounds, float thickness, const Material& material) {
  for (const float u : {bounds.u0, bounds.u1 - thickness}) {
    for (const float d : {bounds.d0, bounds.d1 - thickness}) {
      frame.box({u, u + thickness, 0, bounds.y1, d, d + thickness}, material);
    }
  }
}

}  // namespace

Palette draw_palette(RandomStream& stream) {
  Palette palette;
  palette.wood = draw_wood(stream);
  palette.trim = draw_neutral(stream, 86, 96);
  palette.metal = chance(stream, 0.7f) ? draw_neutral(stream, 8, 25) : lab_to_linear(62, 6, 30);
  palette.main_fabric =
      chance(stream, 0.45f) ? draw_neutral(stream, 35, 88) : draw_color(stream, 25, 75, 8, 36);
  palette.accent = draw_color(stream, 30, 80, 14, 48);
  palette.second_accent = draw_color(stream, 25, 88, 6, 36);
  return palette;
}

void add_sofa(Frame& frame, RandomStream& stream, const Palette& palette, float u, float width) {
  const Linear& fabric = palette.main_fabric;
  const float back = stream.uniform(0.72f, 0.9f), arm_height = stream.uniform(0.52f, 0.66f);
  const float arm = stream.uniform(0.1f, 0.2f), gap = 0.06f, front = kSofaDepth;
  const float seat = 0.44f, u1 = u + width;
  const int seats = width < 1.2f ? 1 : width < 1.9f ? 2 : 3;

  add_legs(frame,
           {u + 0.05f, u1 - 0.05f, 0, 0.12f, gap + 0.08f, front - 0.06f},
           0.045f,
           plain(scaled(palette.wood, 0.5f)));
  frame.box({u, u1, 0.1f, back, gap, gap + 0.2f}, cushion(scaled(fabric, 0.9f)));
  frame.box({u + arm, u1 - arm, 0.1f, 0.28f, gap, front - 0.04f}, plain(scaled(fabric, 0.82f)));
  frame.box({u, u + arm, 0.1f, arm_height, gap, front}, cushion(scaled(fabric, 0.95f)));
  frame.box({u1 - arm, u1, 0.1f, arm_height, gap, front}, cushion(scaled(fabric, 0.95f)));
  const float step = (width - 2 * arm) / static_cast<float>(seats);
  for (int i = 0; i < seats; ++i) {
    const float from = u + arm + static_cast<float>(i) * step + 0.008f, to = from + step - 0.016f;
    frame.box({from, to, 0.28f, seat, gap + 0.2f, front - 0.01f}, cushion(fabric));
    frame.box({from, to, seat, back + 0.03f, gap + 0.18f, gap + 0.36f}, cushion(fabric));
  }
  const int pillows = whole(stream, 0, seats);
  for (int i = 0; i < pillows; ++i) {
    const float side = stream.uniform(0.34f, 0.44f);
    const bool left = i % 2 == 0;
    const float shift = arm + 0.04f + 0.3f * static_cast<float>(i / 2) + stream.uniform(0, 0.08f);
    const float from = left ? u + shift : u1 - shift - side;
    const Linear color = chance(stream, 0.6f) ? palette.accent : palette.second_accent;
    frame.box({from, from + side, seat, seat + 0.9f * side, gap + 0.36f, gap + 0.48f},
              cushion(color));
  }
  frame.shade({u, u1, 0.0f, back, gap, front}, 0.45f);
}

void add_bed(Frame& frame, RandomStream& stream, const Palette& palette, float u, float width) {
  const float u1 = u + width, head = stream.uniform(0.9f, 1.2f);
  const bool upholstered = chance(stream, 0.5f);
  const Linear head_color = upholstered ? palette.main_fabric : palette.wood;
  const Linear sheet = draw_neutral(stream, 82, 96);
  const Linear cover = chance(stream, 0.5f) ? palette.accent : palette.main_fabric;

  frame.box({u - 0.04f, u1 + 0.04f, 0.0f, head, 0.02f, 0.1f},
            upholstered ? cushion(head_color) : plain(head_color));
  frame.box({u, u1, 0.1f, 0.3f, 0.1f, kBedDepth}, plain(scaled(head_color, 0.8f)));
  add_legs(
      frame, {u, u1, 0, 0.1f, 0.15f, kBedDepth - 0.02f}, 0.06f, plain(scaled(palette.wood, 0.5f)));
  frame.box({u + 0.01f, u1 - 0.01f, 0.3f, 0.5f, 0.1f, kBedDepth - 0.01f}, plain(sheet));
  frame.box({u - 0.02f, u1 + 0.02f, 0.26f, 0.54f, 0.75f, kBedDepth + 0.02f}, cushion(cover));
  frame.box({u - 0.022f, u1 + 0.022f, 0.3f, 0.545f, 0.62f, 0.8f}, plain(scaled(sheet, 0.95f)));
  const float half = width / 2;
  for (int side = 0; side < 2; ++side) {
    const float from = u + static_cast<float>(side) * half + 0.06f;
    frame.box({from, from + half - 0.12f, 0.5f, 0.76f, 0.12f, 0.3f}, cushion(sheet));
    frame.box({from + 0.08f, from + half - 0.2f, 0.5f, 0.68f, 0.3f, 0.44f},
              cushion(palette.second_accent));
  }
  frame.shade({u, u1, 0, 0.55f, 0, kBedDepth}, 0.5f);
  frame.shade({u, u1, 0.5f, head, 0, 0.1f}, 0.3f);
}

void add_table(Frame& frame, const Palette& palette, const Box& bounds) {
  const float leg = bounds.y1 > 0.6f ? 0.07f : 0.045f;
  add_legs(frame,
           {bounds.u0 + 0.03f,
            bounds.u1 - 0.03f,
            0,
            bounds.y1 - 0.03f,
            bounds.d0 + 0.03f,
            bounds.d1 - 0.03f},
           leg,
           plain(scaled(palette.wood, 0.75f)));
  frame.box({bounds.u0, bounds.u1, bounds.y1 - 0.045f, bounds.y1, bounds.d0, bounds.d1},
            plain(palette.wood));
  frame.shade({bounds.u0, bounds.u1, bounds.y1 * 0.35f, bounds.y1, bounds.d0, bounds.d1}, 0.5f);
}

void add_chair(Frame& frame, const Palette& palette, float u, float d) {
  constexpr float kSide = 0.44f;
  const Material body = plain(scaled(palette.wood, 0.85f));
  add_legs(frame, {u, u + kSide, 0, 0.44f, d, d + kSide}, 0.035f, body);
  frame.box({u, u + kSide, 0.43f, 0.48f, d, d + kSide}, cushion(palette.main_fabric));
  frame.box({u, u + kSide, 0.62f, 0.92f, d, d + 0.035f}, body);
  for (const float side : {u, u + kSide - 0.035f}) {
    frame.box({side, side + 0.035f, 0.44f, 0.92f, d, d + 0.035f}, body);
  }
  frame.shade({u, u + kSide, 0.2f, 0.5f, d, d + kSide}, 0.35f);
}

void add_rug(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds) {
  Material rug = textured(Texture::kRug, draw_neutral(stream, 55, 90), whole(stream, 0, 7));
  if (chance(stream, 0.35f)) rug.color = mixed(rug.color, palette.second_accent, 0.7f);
  rug.accent = chance(stream, 0.6f) ? palette.accent : scaled(rug.color, 0.55f);
  frame.box({bounds.u0, bounds.u1, 0, 0.012f, bounds.d0, bounds.d1}, rug);
}

}  // namespace limewash::data::rooms
