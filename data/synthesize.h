#pragma once
// `limewash synthesize`: procedural rooms as a folder of photos, masks and exact repaints.
//
//   OUT/rooms.json                     {"format": 1, "seed": S, "size": N, "rooms": [{"image",
//   "mask", "id",
//                                      "paint": [r, g, b], "repaints": [{"image", "paint"}]}]};
//                                      paints are sRGB in [0, 1], paths are relative to OUT;
//                                      "corrupted": [{"mask", "kind", "iou"}], where asked for
//   OUT/images/room-000000.png         the room in its own paint
//   OUT/masks/room-000000.png          255 where the wall covers more than half a pixel
//   OUT/repaints/room-000000-0.png     the same photo in another paint
//   OUT/corrupted/room-000000-0.png    a wrong mask, entered with its kind and its IoU with the
//   right
//                                      one (data/mask_corruption.h)
//
// A photo is a pure function of (seed, id, size, paint): the same program renders the same bytes
// again, so `prepare` needs no stored repaints. The number of threads does not matter.

#include <cstdint>
#include <string>

#include "runtime/config.h"

namespace limewash::data {

/// `synthesize`.
struct SynthesizeOptions {
  std::string out;
  int64_t count = 100;
  int64_t size = 512;
  int64_t seed = 42;
  int64_t repaints = 0;     ///< of each room
  int64_t corruptions = 0;  ///< wrong masks of each room
  int64_t threads = 0;      ///< 0: all cores this process may use
  bool overwrite = false;   ///< replace rooms of another configuration
  void describe(config::Fields& fields);
  void validate() const;
};

struct SynthesizeReport {
  int64_t rooms = 0;     ///< written
  int64_t repaints = 0;  ///< written
  double seconds = 0;
  bool stopped = false;  ///< by a signal, before all were written
};

/// Write the rooms. An `out` that holds something else, or rooms of another configuration without
/// `overwrite`, is an InputError; equal rooms are written again.
SynthesizeReport synthesize(const SynthesizeOptions& options);

}  // namespace limewash::data
