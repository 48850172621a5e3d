#pragma once
// Procedural rooms: a room in one-point perspective with furniture in front of the walls, a lamp, a
// light gradient, contact shadows and sensor noise, rendered in linear light. Geometry and light
// are fixed by (seed, id); the wall paint is free, so that a room repainted is exactly the same
// photo in another colour.

#include <cstdint>
#include <memory>
#include <vector>

#include "data/color.h"
#include "data/image.h"
#include "runtime/random.h"

namespace limewash::data {

class Room {
 public:
  /// Decide geometry, objects, light and noise from Philox(seed, kRoom, 0, id) for a `size` x
  /// `size` photo.
  Room(uint64_t seed, uint64_t id, int64_t size);
  ~Room();
  Room(Room&&) noexcept;
  Room& operator=(Room&&) noexcept;

  /// The photo with the walls in `paint` (sRGB). The light on the walls has median 1, so the median
  /// of the painted wall is `paint` up to noise.
  Image render(const Rgb& paint) const;
  /// Where the wall covers more than half a pixel.
  const Mask& mask() const;
  /// The wall's share of each pixel, [size, size]; other pixels than those above 0 never change
  /// with the paint.
  const std::vector<float>& coverage() const;
  /// A plausible own paint for the room, from Philox(seed, kPaint, 0, id).
  Rgb own_paint() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A paint as walls have them: L uniform in [35, 92], chroma half-normal up to 65, within sRGB.
Rgb draw_paint(RandomStream stream);

}  // namespace limewash::data
