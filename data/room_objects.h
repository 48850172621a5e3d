#pragma once
// The things of a procedural room. Each is placed along its wall from `u`, the smaller coordinate.

#include "data/room_builder.h"

namespace limewash::data::rooms {

/// Colours that one room's things share.
struct Palette {
  Linear wood, trim, metal, main_fabric, accent, second_accent;
};

Palette draw_palette(RandomStream& stream);

// Seats, beds and tables (room_furniture.cpp). `d`: distance from the wall.
void add_sofa(Frame& frame, RandomStream& stream, const Palette& palette, float u, float width);
constexpr float kSofaDepth = 0.95f;
void add_bed(Frame& frame, RandomStream& stream, const Palette& palette, float u, float width);
constexpr float kBedDepth = 1.95f;
void add_table(Frame& frame, const Palette& palette, const Box& bounds);
void add_chair(Frame& frame, const Palette& palette, float u, float d);
void add_rug(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds);

// Storage, lamps and plants (room_things.cpp).
void add_sideboard(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds);
void add_bookshelf(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds);
void add_wall_shelf(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds);
void add_vase(Frame& frame, RandomStream& stream, const Linear& color, float u, float y, float d);
void add_plant(Frame& frame, RandomStream& stream, const Palette& palette, float u, float d);
void add_floor_lamp(Frame& frame, RandomStream& stream, const Palette& palette, float u, float d);
void add_table_lamp(
    Frame& frame, RandomStream& stream, const Palette& palette, float u, float y, float d);
void add_pendant(Frame& frame, RandomStream& stream, const Palette& palette, float u, float d);

// In and on the wall (room_openings.cpp). `bounds` gives u and y; d is ignored.
void add_window(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds);
void add_door(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds);
void add_picture(Frame& frame, RandomStream& stream, const Palette& palette, const Box& bounds);
void add_mirror(Frame& frame, const Palette& palette, const Box& bounds);
void add_television(Frame& frame, const Box& bounds);

}  // namespace limewash::data::rooms
