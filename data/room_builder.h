#pragma once
// Adds boxes and panels to a scene in the coordinates of a wall, so that each object is described
// once for any wall.

#include <array>
#include <optional>
#include <vector>

#include "data/room_scene.h"
#include "runtime/random.h"

namespace limewash::data::rooms {

/// Along the wall, up, and out of the wall into the room.
struct Box {
  float u0, u1, y0, y1, d0, d1;
};

/// A wall to stand at or hang on: `kBack` (u is x), `kLeft` or `kRight` (u is z).
class Frame {
 public:
  Frame(Scene& scene, Surface wall) : scene_(scene), wall_(wall) {}

  /// The sides of a box that the camera can see. `front`, where given, is the material of the side
  /// that faces the room.
  void box(const Box& box, const Material& material, const Material* front = nullptr);
  /// A convex outline of (u, y) points, parallel to the wall at distance `d`.
  void panel(float d, std::vector<Plane2> outline, const Material& material);
  /// A convex outline of (offset along the picture, y) points that always faces the camera, about
  /// (u, d).
  void billboard(float u, float d, std::vector<Plane2> outline, const Material& material);
  /// Let the box keep light away from the walls and the floor.
  void shade(const Box& box, float strength);
  /// A light at (u, y, d).
  void light(float u, float y, float d, const Linear& color, float reach);

  Surface wall() const {
    return wall_;
  }
  const Scene& scene() const {
    return scene_;
  }

 private:
  /// x and z of (u, d).
  Plane2 place(float u, float d) const;
  Scene& scene_;
  Surface wall_;
};

/// Draws that the objects share.
bool chance(RandomStream& stream, float probability);
int whole(RandomStream& stream, int low, int high);  ///< both ends included
/// A colour of given ranges in CIELAB, in linear light.
Linear draw_color(RandomStream& stream, float low_l, float high_l, float low_c, float high_c);
Linear draw_wood(RandomStream& stream);
Linear draw_neutral(RandomStream& stream, float low_l, float high_l);
Linear lab_to_linear(float l, float a, float b);
Linear scaled(const Linear& color, float factor);
Linear mixed(const Linear& a, const Linear& b, float share_of_b);

inline Material plain(const Linear& color) {
  Material material;
  material.color = color;
  return material;
}

inline Material textured(Texture texture, const Linear& color, int count = 1) {
  Material material = plain(color);
  material.texture = texture;
  material.count = count;
  return material;
}

}  // namespace limewash::data::rooms
