#pragma once
// How much light falls on a point of a room: a sky of ambient light, area lights, corners and soft
// shadows.

#include <array>
#include <vector>

#include "data/room_scene.h"

namespace limewash::data::rooms {

using Position = std::array<float, 3>;

class RoomLight {
 public:
  explicit RoomLight(const Scene& scene);
  /// Light on a point of the shell.
  Linear on_shell(Surface surface, const Position& point) const;
  /// Light on a point of a face whose normal is `sign` along `axis`.
  Linear on_face(Axis axis, float sign, const Position& point) const;

 private:
  /// A rectangle on a surface of the shell, blurred.
  struct SoftShadow {
    Plane2 low{}, high{};
    float blur = 0.1f, strength = 0.3f;
  };
  void throw_shadow(const Blocker& blocker, Surface surface);
  Linear direct(Axis axis, float sign, const Position& point) const;
  float corners(Surface surface, const Position& point) const;
  float shadows(Surface surface, const Position& point) const;
  float mouldings(const Position& point) const;

  const Scene& scene_;
  std::array<std::vector<SoftShadow>, 5> shadows_;
};

}  // namespace limewash::data::rooms
