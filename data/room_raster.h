#pragma once
// Which surface a room shows at each point of the picture: sampled on a grid within every pixel,
// with depth.

#include <cstdint>
#include <vector>

#include "data/room_scene.h"

namespace limewash::data::rooms {

/// Surface ids, [size * samples, size * samples], row-major.
struct IdBuffer {
  int64_t size = 0, samples = 1;
  std::vector<uint16_t> ids;
};

IdBuffer rasterize(const Scene& scene, int64_t size, int64_t samples);

/// Share of the samples that show wall.
float wall_share(const IdBuffer& buffer);

}  // namespace limewash::data::rooms
