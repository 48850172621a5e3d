#pragma once
// Furnishes a procedural room: which things, how large and where, so that none stands in another.

#include "data/room_scene.h"
#include "runtime/random.h"

namespace limewash::data::rooms {

/// Draw a whole room. Does not depend on the size of the picture.
Scene draw_scene(RandomStream& stream);

}  // namespace limewash::data::rooms
