#include "data/room_light.h"

#include <algorithm>
#include <cmath>

namespace limewash::data::rooms {
namespace {

float smooth_step(float from, float to, float value) {
  const float t = std::clamp((value - from) / (to - from), 0.0f, 1.0f);
  return t * t * (3 - 2 * t);
}

/// 1 inside [low, high], falling to 0 over `blur` on both sides.
float soft_interval(float value, float low, float high, float blur) {
  return smooth_step(low - blur, low + blur, value) *
         (1 - smooth_step(high - blur, high + blur, value));
}

/// A smooth fall from 1 at 0 to 0 at 1 and beyond.
float fall(float distance) {
  const float t = std::max(0.0f, 1 - distance);
  return t * t * (0.5f + 0.5f * t);
}

Plane2 on_plane(Surface surface, const Position& point) {
  switch (surface) {
    case kBack:
      return {point[0], point[1]};
    case kLeft:
    case kRight:
      return {point[2], point[1]};
    default:
      return {point[0], point[2]};
  }
}

}  // namespace

RoomLight::RoomLight(const Scene& scene) : scene_(scene) {
  for (const Blocker& blocker : scene.blockers) {
    for (const Surface surface : {kBack, kLeft, kRight, kFloor}) throw_shadow(blocker, surface);
  }
}

void RoomLight::throw_shadow(const Blocker& blocker, Surface surface) {
  const Shell& shell = scene_.shell;
  constexpr float kFarthest = 0.7f;
  float gap = 0, thickness = 0;
  switch (surface) {
    case kBack:
      gap = shell.depth - blocker.high[2];
      thickness = blocker.high[2] - blocker.low[2];
      break;
    case kLeft:
      gap = blocker.low[0] - shell.left;
      thickness = blocker.high[0] - blocker.low[0];
      break;
    case kRight:
      gap = shell.right - blocker.high[0];
      thickness = blocker.high[0] - blocker.low[0];
      break;
    default:
      gap = blocker.low[1];
      thickness = blocker.high[1] - blocker.low[1];
  }
  if (gap > kFarthest) return;
  gap = std::max(gap, 0.0f);
  const float reach = gap + 0.5f * std::min(thickness, 0.5f);

  SoftShadow shadow;
  shadow.low = on_plane(surface, blocker.low);
  shadow.high = on_plane(surface, blocker.high);
  shadow.strength = blocker.strength * (1 - gap / kFarthest);
  shadow.blur = 0.03f + 0.4f * reach;
  if (!scene_.lights.empty()) {
    // Away from the strongest light, the farther the thicker the thing is.
    const Position& light = scene_.lights.front().position;
    const Plane2 from = on_plane(surface, light);
    for (int i = 0; i < 2; ++i) {
      const float away = 0.5f * (shadow.low[i] + shadow.high[i]) - from[i];
      const float shift = std::clamp(away * 0.5f, -0.8f, 0.8f) * reach;
      shadow.low[i] += std::max(0.0f, shift) * 0.4f + std::min(0.0f, shift);
      shadow.high[i] += std::max(0.0f, shift) + std::min(0.0f, shift) * 0.4f;
    }
  }
  shadows_[surface].push_back(shadow);
}

Linear RoomLight::direct(Axis axis, float sign, const Position& point) const {
  const auto along = static_cast<size_t>(axis);
  // More comes from above than from below, and walls see half of each.
  const float level =
      axis == Axis::kY ? (sign > 0 ? 1.0f : 0.78f) : 0.84f + 0.10f * point[1] / scene_.shell.height;
  Linear sum{};
  for (int i = 0; i < 3; ++i) sum[i] = scene_.ambient[i] * level;
  for (const Light& light : scene_.lights) {
    Position to;
    float squared = 1e-4f;
    for (size_t i = 0; i < 3; ++i) {
      to[i] = light.position[i] - point[i];
      squared += to[i] * to[i];
    }
    const float cosine = sign * to[along] / std::sqrt(squared);
    const float lit = (cosine + light.wrap) / (1 + light.wrap);
    if (lit <= 0) continue;
    const float reach = light.reach * light.reach;
    const float amount = lit * reach / (reach + squared);
    for (int i = 0; i < 3; ++i) sum[i] += amount * light.color[i];
  }
  return sum;
}

float RoomLight::corners(Surface surface, const Position& point) const {
  const Shell& shell = scene_.shell;
  const float width = scene_.corner_width;
  float distances[4] = {
      point[0] - shell.left, shell.right - point[0], point[1], shell.height - point[1]};
  const float to_back = shell.depth - point[2];
  switch (surface) {
    case kLeft:
      distances[0] = to_back;
      break;
    case kRight:
      distances[1] = to_back;
      break;
    case kFloor:
      distances[2] = to_back;
      break;
    case kCeiling:
      distances[3] = to_back;
      break;
    default:
      break;
  }
  float light = 1;
  for (int i = 0; i < 4; ++i) {
    const bool own_plane = (surface == kLeft && i == 1) || (surface == kRight && i == 0) ||
                           (surface == kFloor && i == 3) || (surface == kCeiling && i == 2);
    if (own_plane) continue;
    // Narrow and wide together fall the way bounced light does.
    light *= 1 - scene_.corner_darkness *
                     (0.6f * fall(distances[i] / width) + 0.4f * fall(distances[i] / (4 * width)));
  }
  return light;
}

float RoomLight::shadows(Surface surface, const Position& point) const {
  const Plane2 at = on_plane(surface, point);
  float light = 1;
  for (const SoftShadow& shadow : shadows_[surface]) {
    const float blur = shadow.blur;
    if (at[0] <= shadow.low[0] - blur || at[0] >= shadow.high[0] + blur ||
        at[1] <= shadow.low[1] - blur || at[1] >= shadow.high[1] + blur) {
      continue;
    }
    light *= 1 - shadow.strength * soft_interval(at[0], shadow.low[0], shadow.high[0], blur) *
                     soft_interval(at[1], shadow.low[1], shadow.high[1], blur);
  }
  return light;
}

float RoomLight::mouldings(const Position& point) const {
  const WallPanels& panels = scene_.panels;
  if (panels.count == 0) return 1;
  const float period = (scene_.shell.right - scene_.shell.left) / static_cast<float>(panels.count);
  const float across = point[0] - scene_.shell.left;
  const float within = across - period * std::floor(across / period);
  constexpr float kInset = 0.1f, kProfile = 0.035f;
  // Signed distance to the rectangle's edge, positive outside.
  const float side = std::abs(within - 0.5f * period) - (0.5f * period - kInset);
  const float level =
      std::abs(point[1] - 0.5f * (panels.low + panels.high)) - 0.5f * (panels.high - panels.low);
  const float outside = std::max(side, level);
  if (std::abs(outside) >= kProfile) return 1;
  // Its upper flank catches the light, its lower flank does not.
  const bool upper = level >= side && point[1] > 0.5f * (panels.low + panels.high);
  const float flank = outside / kProfile * (upper ? 1.0f : -1.0f);
  return 1 + 0.16f * flank * (1 - std::abs(flank));
}

Linear RoomLight::on_shell(Surface surface, const Position& point) const {
  Linear light{};
  float factor = corners(surface, point) * shadows(surface, point);
  switch (surface) {
    case kBack:
      light = direct(Axis::kZ, -1, point);
      factor *= mouldings(point);
      break;
    case kLeft:
      light = direct(Axis::kX, 1, point);
      break;
    case kRight:
      light = direct(Axis::kX, -1, point);
      break;
    case kCeiling:
      light = direct(Axis::kY, -1, point);
      break;
    default:
      light = direct(Axis::kY, 1, point);
  }
  for (float& channel : light) channel *= factor;
  return light;
}

Linear RoomLight::on_face(Axis axis, float sign, const Position& point) const {
  Linear light = direct(axis, sign, point);
  const float near_floor = axis == Axis::kY ? 1.0f : 1 - 0.35f * fall(point[1] / 0.5f);
  for (float& channel : light) channel *= near_floor;
  return light;
}

}  // namespace limewash::data::rooms
