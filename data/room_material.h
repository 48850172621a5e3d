#pragma once
// The colour of a surface before light, from its material's pattern.

#include "data/room_scene.h"

namespace limewash::data::rooms {

/// Where on a surface: in metres, as a share of its bounds, and the metres that a pixel covers.
struct SurfacePoint {
  Plane2 metres{}, share{}, footprint{};
};

Linear surface_color(const Material& material, const SurfacePoint& point);

/// Whether the surface shines by itself, whatever the room's light.
constexpr bool shines(Texture texture) {
  return texture == Texture::kSky || texture == Texture::kShade;
}

}  // namespace limewash::data::rooms
