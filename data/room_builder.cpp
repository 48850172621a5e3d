#include "data/room_builder.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "data/color.h"

namespace limewash::data::rooms {
namespace {

void add_face(Scene& scene,
              Axis axis,
              float sign,
              float position,
              std::vector<Plane2> outline,
              const Material& material) {
  Face face;
  face.axis = axis;
  face.sign = sign;
  face.position = position;
  face.low = face.high = outline.front();
  for (const Plane2& point : outline) {
    for (int i = 0; i < 2; ++i) {
      face.low[i] = std::min(face.low[i], point[i]);
      face.high[i] = std::max(face.high[i], point[i]);
    }
  }
  face.outline = std::move(outline);
  face.material = material;
  scene.faces.push_back(std::move(face));
}

std::vector<Plane2> rectangle(float a0, float a1, float b0, float b1) {
  return {{a0, b0}, {a1, b0}, {a1, b1}, {a0, b1}};
}

}  // namespace

Plane2 Frame::place(float u, float d) const {
  switch (wall_) {
    case kLeft:
      return {scene_.shell.left + d, u};
    case kRight:
      return {scene_.shell.right - d, u};
    default:
      return {u, scene_.shell.depth - d};
  }
}

void Frame::box(const Box& box, const Material& material, const Material* front) {
  const Plane2 one = place(box.u0, box.d0), other = place(box.u1, box.d1);
  const float x0 = std::min(one[0], other[0]), x1 = std::max(one[0], other[0]);
  const float z0 = std::min(one[1], other[1]), z1 = std::max(one[1], other[1]);
  const float eye = scene_.camera.eye;
  // Only these sides can face the camera; a front material belongs to one of them.
  const Material& towards_z = front && wall_ == kBack ? *front : material;
  const Material& towards_right = front && wall_ == kLeft ? *front : material;
  const Material& towards_left = front && wall_ == kRight ? *front : material;
  if (x1 < 0) add_face(scene_, Axis::kX, 1, x1, rectangle(z0, z1, box.y0, box.y1), towards_right);
  if (x0 > 0) add_face(scene_, Axis::kX, -1, x0, rectangle(z0, z1, box.y0, box.y1), towards_left);
  if (box.y1 < eye) add_face(scene_, Axis::kY, 1, box.y1, rectangle(x0, x1, z0, z1), material);
  if (box.y0 > eye) add_face(scene_, Axis::kY, -1, box.y0, rectangle(x0, x1, z0, z1), material);
  add_face(scene_, Axis::kZ, -1, z0, rectangle(x0, x1, box.y0, box.y1), towards_z);
}

void Frame::panel(float d, std::vector<Plane2> outline, const Material& material) {
  const Plane2 at = place(0, d);
  switch (wall_) {
    case kLeft:
      add_face(scene_, Axis::kX, 1, at[0], std::move(outline), material);
      break;
    case kRight:
      add_face(scene_, Axis::kX, -1, at[0], std::move(outline), material);
      break;
    default:
      add_face(scene_, Axis::kZ, -1, at[1], std::move(outline), material);
  }
}

void Frame::billboard(float u, float d, std::vector<Plane2> outline, const Material& material) {
  const Plane2 at = place(u, d);
  for (Plane2& point : outline) point[0] += at[0];
  add_face(scene_, Axis::kZ, -1, at[1], std::move(outline), material);
}

void Frame::shade(const Box& box, float strength) {
  const Plane2 one = place(box.u0, box.d0), other = place(box.u1, box.d1);
  Blocker blocker;
  blocker.low = {std::min(one[0], other[0]), box.y0, std::min(one[1], other[1])};
  blocker.high = {std::max(one[0], other[0]), box.y1, std::max(one[1], other[1])};
  blocker.strength = strength;
  scene_.blockers.push_back(blocker);
}

void Frame::light(float u, float y, float d, const Linear& color, float reach) {
  const Plane2 at = place(u, d);
  scene_.lights.push_back({{at[0], y, at[1]}, color, reach, 0.2f});
}

bool chance(RandomStream& stream, float probability) {
  return stream.uniform() < probability;
}

int whole(RandomStream& stream, int low, int high) {
  return low + static_cast<int>(stream.below(static_cast<uint64_t>(high - low + 1)));
}

Linear lab_to_linear(float l, float a, float b) {
  const Rgb rgb = lab_to_rgb({l, a, b});
  return {srgb_to_linear(rgb[0]), srgb_to_linear(rgb[1]), srgb_to_linear(rgb[2])};
}

Linear draw_color(RandomStream& stream, float low_l, float high_l, float low_c, float high_c) {
  const float l = stream.uniform(low_l, high_l);
  const float c = stream.uniform(low_c, high_c);
  const float hue = stream.uniform(0, 2 * std::numbers::pi_v<float>);
  return lab_to_linear(l, c * std::cos(hue), c * std::sin(hue));
}

Linear draw_wood(RandomStream& stream) {
  const float l = stream.uniform(28, 72);
  const float yellow = stream.uniform(0.25f, 0.48f) * l;
  return lab_to_linear(l, stream.uniform(4, 13), std::min(yellow, 28.0f));
}

Linear draw_neutral(RandomStream& stream, float low_l, float high_l) {
  const float l = stream.uniform(low_l, high_l);
  const float a = stream.uniform(-1.5f, 2.5f);
  return lab_to_linear(l, a, stream.uniform(-3, 9));
}

Linear scaled(const Linear& color, float factor) {
  return {color[0] * factor, color[1] * factor, color[2] * factor};
}

Linear mixed(const Linear& a, const Linear& b, float share_of_b) {
  Linear result;
  for (int i = 0; i < 3; ++i) result[i] = a[i] + (b[i] - a[i]) * share_of_b;
  return result;
}

}  // namespace limewash::data::rooms
