#include <algorithm>

#include "data/room_objects.h"

namespace limewash::data::rooms {
namespace {

/// Four boxes around `inner`.
void add_border(
    Frame& frame, const Box& outer, float width, float depth, const Material& material) {
  frame.box({outer.u0, outer.u1, outer.y1 - width, outer.y1, 0, depth}, material);
  frame.box({outer.u0, outer.u1, outer.y0, outer.y0 + width, 0, depth}, material);
  frame.box({outer.u0, outer.u0 + width, outer.y0 + width, outer.y1 - width, 0, depth}, material);
  frame.box({outer.u1 - width, outer.u1, outer.y0 + width, outer.y1 - width, 0, depth}, material);
}

std::vector<Plane2> rectangle(const Box& bounds, float inset) {
  return {{bounds.u0 + inset, bounds.y0 + inset},
          {bounds.u1 - inset, bounds.y0 + inset},
          {bounds.u1 - inset, bounds.y1 - inset},
          {bounds.u0 + inset, bounds.y1 - inset}};
}

void add_curtains(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds) {
  const bool to_floor = chance(stream, 0.7f);
  const float rod = bounds.y1 + 0.08f, bottom = to_floor ? 0.03f : bounds.y0 - 0.12f;
  const float width = std::min(0.32f, 0.28f * (bounds.u1 - bounds.u0));
  Material cloth =
      textured(Texture::kFolds,
               chance(stream, 0.5f) ? draw_neutral(stream, 70, 94) : palette.second_accent,
               4);
  frame.box({bounds.u0 - 0.25f, bounds.u1 + 0.25f, rod, rod + 0.025f, 0.11f, 0.135f},
            plain(palette.metal));
  for (const float u : {bounds.u0 - 0.6f * width, bounds.u1 - 0.4f * width}) {
    frame.box({u, u + width, bottom, rod, 0.09f, 0.15f}, plain(scaled(cloth.color, 0.85f)), &cloth);
    frame.shade({u, u + width, bottom, rod, 0.05f, 0.15f}, 0.3f);
  }
}

}  // namespace

void add_window(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds) {
  const Material wood = plain(chance(stream, 0.8f) ? palette.trim : palette.wood);
  Material sky = textured(
      Texture::kSky,
      lab_to_linear(stream.uniform(72, 90), stream.uniform(-8, 0), stream.uniform(-26, -6)));
  sky.accent =
      lab_to_linear(stream.uniform(45, 70), stream.uniform(-22, -4), stream.uniform(6, 30));
  sky.size = stream.uniform(-0.1f, 0.4f);
  sky.amount = stream.uniform(0, 6);
  frame.panel(0.012f, rectangle(bounds, 0.02f), sky);
  const float border = stream.uniform(0.05f, 0.09f), bar = 0.6f * border;
  add_border(frame, bounds, border, 0.05f, wood);
  const float width = bounds.u1 - bounds.u0;
  const int columns = width > 0.8f ? whole(stream, 2, width > 1.4f ? 3 : 2) : whole(stream, 1, 2);
  for (int i = 1; i < columns; ++i) {
    const float u = bounds.u0 + width * static_cast<float>(i) / static_cast<float>(columns);
    frame.box({u - bar / 2, u + bar / 2, bounds.y0 + border, bounds.y1 - border, 0.01f, 0.04f},
              wood);
  }
  if (chance(stream, 0.5f)) {
    const float y = bounds.y0 + (bounds.y1 - bounds.y0) * stream.uniform(0.5f, 0.72f);
    frame.box({bounds.u0 + border, bounds.u1 - border, y - bar / 2, y + bar / 2, 0.01f, 0.038f},
              wood);
  }
  frame.box({bounds.u0 - 0.06f, bounds.u1 + 0.06f, bounds.y0 - 0.035f, bounds.y0, 0, 0.13f}, wood);
  frame.shade({bounds.u0, bounds.u1, bounds.y0 - 0.08f, bounds.y1, 0, 0.12f}, 0.22f);
  if (chance(stream, 0.4f)) add_curtains(frame, stream, palette, bounds);
}

void add_door(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds) {
  const float style = stream.uniform();
  const Linear color = style < 0.6f    ? palette.trim
                       : style < 0.85f ? palette.wood
                                       : palette.second_accent;
  constexpr float kCasing = 0.075f;
  const Material casing = plain(style < 0.6f ? scaled(color, 0.97f) : palette.trim);
  frame.panel(0.008f,
              rectangle({bounds.u0, bounds.u1, 0, bounds.y1, 0, 0}, 0.01f),
              textured(Texture::kPanels, color));
  frame.box({bounds.u0, bounds.u0 + kCasing, 0, bounds.y1 - kCasing, 0, 0.03f}, casing);
  frame.box({bounds.u1 - kCasing, bounds.u1, 0, bounds.y1 - kCasing, 0, 0.03f}, casing);
  frame.box({bounds.u0, bounds.u1, bounds.y1 - kCasing, bounds.y1, 0, 0.03f}, casing);
  const float u = chance(stream, 0.5f) ? bounds.u0 + kCasing + 0.05f : bounds.u1 - kCasing - 0.16f;
  frame.box({u, u + 0.11f, 1.02f, 1.05f, 0.03f, 0.06f}, plain(palette.metal));
  frame.shade({bounds.u0, bounds.u1, 0, bounds.y1, 0, 0.05f}, 0.25f);
}

void add_picture(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds) {
  const float width = bounds.u1 - bounds.u0, height = bounds.y1 - bounds.y0;
  const float side = std::min(width, height), border = std::max(0.02f, 0.05f * side);
  const float style = stream.uniform();
  const Linear frame_color = style < 0.4f   ? palette.metal
                             : style < 0.7f ? palette.wood
                                            : palette.trim;
  const Material edge = plain(frame_color);
  add_border(frame, bounds, border, 0.035f, edge);
  const float mat = chance(stream, 0.6f) ? 0.14f * side : 0.0f;
  if (mat > 0) frame.panel(0.014f, rectangle(bounds, 0.5f * border), plain({0.86f, 0.85f, 0.82f}));
  Material picture = textured(Texture::kArt, palette.accent, whole(stream, 0, 3));
  picture.color = chance(stream, 0.5f) ? palette.second_accent : draw_color(stream, 25, 70, 5, 45);
  picture.accent = chance(stream, 0.6f) ? palette.accent : draw_color(stream, 45, 85, 10, 55);
  picture.key = stream.next_u32();
  frame.panel(0.016f, rectangle(bounds, 0.5f * border + mat), picture);
  frame.shade({bounds.u0, bounds.u1, bounds.y0, bounds.y1, 0, 0.09f}, 0.38f);
}

void add_mirror(Frame& frame, const Palette& palette, const Box& bounds) {
  add_border(frame, bounds, 0.035f, 0.03f, plain(palette.metal));
  Material glass = textured(Texture::kSky, {0.60f, 0.64f, 0.66f});
  glass.accent = {0.36f, 0.37f, 0.37f};
  glass.size = 0.3f;
  frame.panel(0.01f, rectangle(bounds, 0.02f), glass);
  frame.shade({bounds.u0, bounds.u1, bounds.y0, bounds.y1, 0, 0.08f}, 0.35f);
}

void add_television(Frame& frame, const Box& bounds) {
  Material screen = textured(Texture::kRound, {0.018f, 0.02f, 0.024f});
  frame.box({bounds.u0, bounds.u1, bounds.y0, bounds.y1, 0.02f, 0.06f},
            plain({0.01f, 0.01f, 0.01f}),
            &screen);
  frame.shade({bounds.u0, bounds.u1, bounds.y0, bounds.y1, 0, 0.1f}, 0.4f);
}

}  // namespace limewash::data::rooms
