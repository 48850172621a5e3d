#include <algorithm>
#include <cmath>
#include <numbers>

#include "data/room_objects.h"

namespace limewash::data::rooms {
namespace {

constexpr Linear kLampLight = {1.0f, 0.80f, 0.52f};
constexpr Linear kLampShade = {0.98f, 0.86f, 0.62f};

/// Upright, `low` wide at the bottom and `high` at the top, about 0.
std::vector<Plane2> trapezoid(float y0, float y1, float low, float high) {
  return {{-low / 2, y0}, {low / 2, y0}, {high / 2, y1}, {-high / 2, y1}};
}

/// A slender leaf from (u, y) along `angle` (0 is straight up).
std::vector<Plane2> leaf(float u, float y, float length, float width, float angle) {
  constexpr int kPoints = 10;
  std::vector<Plane2> outline;
  for (int i = 0; i < kPoints; ++i) {
    const float turn = 2 * std::numbers::pi_v<float> * static_cast<float>(i) / kPoints;
    const float along = 0.5f * length * (1 - std::cos(turn));
    const float across = 0.5f * width * std::sin(turn);
    outline.push_back({u + along * std::sin(angle) + across * std::cos(angle),
                       y + along * std::cos(angle) - across * std::sin(angle)});
  }
  return outline;
}

void add_shade(Frame& frame,
               RandomStream& stream,
               float u,
               float d,
               std::vector<Plane2> outline,
               float light_y,
               float brightness) {
  const bool on = chance(stream, 0.75f);
  const Material shade = on ? textured(Texture::kShade, kLampShade)
                            : textured(Texture::kRound, draw_neutral(stream, 65, 88));
  frame.billboard(u, d, std::move(outline), shade);
  if (on) frame.light(u, light_y, d, scaled(kLampLight, brightness), 0.55f);
}

}  // namespace

void add_vase(Frame& frame, RandomStream& stream, const Linear& color, float u, float y, float d) {
  const float height = stream.uniform(0.16f, 0.34f), width = stream.uniform(0.09f, 0.16f);
  const float neck = width * stream.uniform(0.4f, 0.8f), belly = y + 0.45f * height;
  frame.billboard(u,
                  d,
                  {{-0.35f * width, y},
                   {0.35f * width, y},
                   {0.5f * width, belly},
                   {0.5f * neck, y + height},
                   {-0.5f * neck, y + height},
                   {-0.5f * width, belly}},
                  textured(Texture::kRound, color));
  if (!chance(stream, 0.4f)) return;
  for (int i = 0; i < 4; ++i) {
    const Linear green = lab_to_linear(stream.uniform(38, 60), -18, stream.uniform(15, 28));
    frame.billboard(u,
                    d + 0.002f,
                    leaf(0,
                         y + 0.9f * height,
                         stream.uniform(0.15f, 0.32f),
                         0.045f,
                         stream.uniform(-0.8f, 0.8f)),
                    plain(green));
  }
}

void add_sideboard(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds) {
  const float width = bounds.u1 - bounds.u0, foot = stream.uniform(0.04f, 0.18f);
  const bool painted = chance(stream, 0.35f);
  const Linear color = painted ? draw_neutral(stream, 75, 95) : palette.wood;
  Material front = textured(Texture::kFronts, color, std::max(2, whole(stream, 2, 4)));
  front.size = width / static_cast<float>(front.count);
  front.amount = bounds.y1 - 0.025f - foot;
  front.accent = palette.metal;
  for (const float u : {bounds.u0 + 0.04f, bounds.u1 - 0.08f}) {
    frame.box({u, u + 0.04f, 0, foot, bounds.d1 - 0.08f, bounds.d1 - 0.04f},
              plain(scaled(palette.wood, 0.5f)));
  }
  const Material body = plain(scaled(color, 0.92f));
  frame.box(
      {bounds.u0, bounds.u1, foot, bounds.y1 - 0.025f, bounds.d0, bounds.d1 - 0.01f}, body, &front);
  frame.box(
      {bounds.u0 - 0.01f, bounds.u1 + 0.01f, bounds.y1 - 0.025f, bounds.y1, bounds.d0, bounds.d1},
      plain(scaled(color, 1.02f)));
  frame.shade({bounds.u0, bounds.u1, 0.3f * foot, bounds.y1, bounds.d0, bounds.d1}, 0.45f);
}

void add_bookshelf(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds) {
  const Linear color = chance(stream, 0.4f) ? palette.trim : palette.wood;
  const float height = bounds.y1 - bounds.y0;
  Material front = textured(Texture::kBooks, color, std::max(2, static_cast<int>(height / 0.36f)));
  front.size = bounds.u1 - bounds.u0 - 0.06f;
  front.accent = palette.accent;
  front.key = stream.next_u32();
  frame.box(bounds, plain(color));
  const float d = bounds.d1 + 0.002f;
  frame.panel(d,
              {{bounds.u0 + 0.03f, bounds.y0 + 0.02f},
               {bounds.u1 - 0.03f, bounds.y0 + 0.02f},
               {bounds.u1 - 0.03f, bounds.y1 - 0.03f},
               {bounds.u0 + 0.03f, bounds.y1 - 0.03f}},
              front);
  frame.shade(bounds, 0.4f);
}

void add_wall_shelf(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds) {
  const float top = bounds.y0 + 0.035f;
  frame.box({bounds.u0, bounds.u1, bounds.y0, top, 0, 0.22f}, plain(palette.wood));
  frame.shade({bounds.u0, bounds.u1, bounds.y0 - 0.03f, top, 0, 0.22f}, 0.5f);
  float u = bounds.u0 + 0.05f;
  while (u < bounds.u1 - 0.2f) {
    if (chance(stream, 0.6f)) {
      const int books = whole(stream, 2, 5);
      for (int i = 0; i < books && u < bounds.u1 - 0.08f; ++i) {
        const float thick = stream.uniform(0.025f, 0.05f);
        frame.box({u, u + thick, top, top + stream.uniform(0.17f, 0.26f), 0.02f, 0.18f},
                  plain(draw_color(stream, 25, 85, 0, 40)));
        u += thick + 0.003f;
      }
    } else if (frame.wall() == kBack) {
      add_vase(frame, stream, palette.second_accent, u + 0.08f, top, 0.12f);
      u += 0.16f;
    }
    u += stream.uniform(0.05f, 0.25f);
  }
}

void add_plant(Frame& frame, RandomStream& stream, const Palette& palette, float u, float d) {
  const float pot = stream.uniform(0.22f, 0.36f), top = pot * 0.95f;
  const bool stands = chance(stream, 0.3f);
  const float base = stands ? stream.uniform(0.15f, 0.3f) : 0.0f;
  if (stands) {
    for (const float side : {-0.4f * pot, 0.4f * pot - 0.02f}) {
      frame.billboard(u,
                      d,
                      {{side, 0}, {side + 0.02f, 0}, {side + 0.02f, base}, {side, base}},
                      plain(scaled(palette.wood, 0.6f)));
    }
  }
  const Linear pot_color =
      chance(stream, 0.5f) ? draw_neutral(stream, 40, 95) : lab_to_linear(52, 24, 28);
  frame.billboard(
      u, d, trapezoid(base, base + top, 0.72f * pot, pot), textured(Texture::kRound, pot_color));
  const int leaves = whole(stream, 11, 18);
  const float reach = stream.uniform(0.55f, 1.0f), width = stream.uniform(0.09f, 0.17f);
  const float yellow = stream.uniform(14, 34);
  for (int i = 0; i < leaves; ++i) {
    const float angle = stream.uniform(-1.15f, 1.15f);
    const float length = reach * stream.uniform(0.6f, 1.0f) * (1 - 0.25f * std::abs(angle));
    const Linear green = lab_to_linear(stream.uniform(22, 54), stream.uniform(-26, -12), yellow);
    const float from = stream.uniform(-0.2f, 0.2f) * pot;
    frame.billboard(u,
                    d - 0.004f + 0.004f * static_cast<float>(i) / 8,
                    leaf(from, base + 0.9f * top, length, width, angle),
                    plain(green));
  }
  frame.shade({u - 0.5f * pot, u + 0.5f * pot, 0.0f, top, d - 0.5f * pot, d + 0.5f * pot}, 0.45f);
  frame.shade({u - 0.35f, u + 0.35f, top, top + 0.7f * reach, d - 0.2f, d + 0.2f}, 0.16f);
}

void add_floor_lamp(Frame& frame, RandomStream& stream, const Palette& palette, float u, float d) {
  const float height = stream.uniform(1.35f, 1.75f), width = stream.uniform(0.3f, 0.46f);
  const float shade = stream.uniform(0.22f, 0.34f);
  const Material metal = plain(palette.metal);
  frame.box({u - 0.14f, u + 0.14f, 0, 0.025f, d - 0.14f, d + 0.14f}, metal);
  frame.billboard(u, d, trapezoid(0.02f, height - 0.8f * shade, 0.028f, 0.024f), metal);
  frame.shade({u - 0.14f, u + 0.14f, 0, 0.05f, d - 0.14f, d + 0.14f}, 0.35f);
  add_shade(frame,
            stream,
            u,
            d,
            trapezoid(height - shade, height, width, width * stream.uniform(0.6f, 1.0f)),
            height - 0.4f * shade,
            stream.uniform(0.5f, 0.95f));
}

void add_table_lamp(
    Frame& frame, RandomStream& stream, const Palette& palette, float u, float y, float d) {
  const float foot = stream.uniform(0.16f, 0.26f), width = stream.uniform(0.2f, 0.3f);
  const float shade = 0.75f * width;
  const Linear color = chance(stream, 0.5f) ? palette.metal : palette.second_accent;
  frame.billboard(
      u, d, trapezoid(y, y + foot + 0.02f, 0.09f, 0.05f), textured(Texture::kRound, color));
  add_shade(frame,
            stream,
            u,
            d,
            trapezoid(y + foot, y + foot + shade, width, 0.7f * width),
            y + foot + 0.5f * shade,
            stream.uniform(0.45f, 0.8f));
}

void add_pendant(Frame& frame, RandomStream& stream, const Palette& palette, float u, float d) {
  const float top = frame.scene().shell.height;
  const float bottom = top - stream.uniform(0.65f, 0.95f), width = stream.uniform(0.35f, 0.6f);
  const float shade = stream.uniform(0.18f, 0.3f);
  frame.billboard(
      u, d, trapezoid(bottom + 0.9f * shade, top, 0.014f, 0.014f), plain(palette.metal));
  add_shade(frame,
            stream,
            u,
            d,
            trapezoid(bottom, bottom + shade, width, 0.45f * width),
            bottom + 0.3f * shade,
            stream.uniform(0.45f, 0.8f));
}

}  // namespace limewash::data::rooms
