#pragma once
// A procedural room as geometry: a box seen from inside in one-point perspective, filled with flat
// faces that are parallel to its walls. Metres; x right, y up from the floor, z away from the
// camera, which stands at x = z = 0.

#include <array>
#include <cstdint>
#include <vector>

namespace limewash::data::rooms {

using Linear = std::array<float, 3>;  ///< linear-light RGB
using Plane2 =
    std::array<float, 2>;  ///< a point within a plane: the two other axes, in x, z, y order

enum class Axis : uint8_t { kX, kY, kZ };

/// Pattern of a face; `Material` says how each reads its numbers.
enum class Texture : uint8_t {
  kPlain,
  kCushion,  ///< darker towards its edges
  kPlanks,   ///< size: width of a plank; amount: how much their tones differ
  kTiles,    ///< size: side of a tile; accent: the joint
  kRug,      ///< accent: border and stripes
  kArt,      ///< count: which composition
  kSky,      ///< the view out of a window; shines by itself
  kShade,    ///< a lamp's shade; shines by itself
  kPanels,   ///< a panelled door
  kFronts,   ///< count: doors side by side; size, amount: width and height of one in metres
  kBooks,    ///< count: shelves; size: their width in metres
  kFolds,    ///< curtain; count: folds
  kRound,    ///< a vessel, shaded as a cylinder
};

struct Material {
  Texture texture = Texture::kPlain;
  Linear color{};
  Linear accent{};
  float size = 1;
  float amount = 0;
  int count = 1;
  uint32_t key = 0;  ///< of the pattern's own random numbers
};

/// A convex polygon in the plane `axis` = `position`, seen from the side that `sign` points to.
struct Face {
  Axis axis = Axis::kZ;
  float sign = -1;
  float position = 0;
  Plane2 low{}, high{};  ///< bounds of the outline
  std::vector<Plane2> outline;
  Material material;
};

/// An upright box that keeps light from the surfaces near it.
struct Blocker {
  std::array<float, 3> low{}, high{};
  float strength = 0.4f;
};

struct Light {
  std::array<float, 3> position{};
  Linear color{};     ///< times the cosine, at the light
  float reach = 1;    ///< metres at which half is left
  float wrap = 0.2f;  ///< how far it reaches round: an area light
};

/// In units of the image's side.
struct Camera {
  float focal = 1, vanishing_x = 0.5f, vanishing_y = 0.5f, eye = 1.4f;
};

/// The inside of the box.
struct Shell {
  float left = -2, right = 2, height = 2.6f, depth = 4;
};

/// Surfaces of the shell, and their ids in an id buffer; faces follow from kFirstFace.
enum Surface : uint16_t { kBack, kLeft, kRight, kCeiling, kFloor, kFirstFace };

/// A rectangle of mouldings on the back wall, in the wall's own paint.
struct WallPanels {
  int count = 0;
  float low = 0, high = 0;
};

struct Scene {
  Shell shell;
  Camera camera;
  Material floor, ceiling;
  Linear ambient{};
  float corner_darkness = 0.15f, corner_width = 0.3f;
  WallPanels panels;
  float noise = 0.004f;  ///< sigma in sRGB
  std::vector<Face> faces;
  std::vector<Blocker> blockers;
  std::vector<Light> lights;  ///< the first is the strongest and throws the shadows
};

constexpr bool is_wall(uint16_t id) {
  return id <= kRight;
}

}  // namespace limewash::data::rooms
