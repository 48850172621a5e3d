#pragma once
// How well a painting meets the wall's edge: where masks are wrong and colours leak.

#include <optional>

#include "data/image.h"
#include "eval/lab_image.h"

namespace limewash::eval {

/// The pixels that lie up to `reach` pixels (in rows and columns) from the wall's edge, on both
/// sides. The photo's border is no edge.
Pixels edge_band(const data::Mask& wall, int64_t reach = 3);

/// `edge_error`: mean CIEDE2000 over the edge band between a painting and the exact repaint;
/// nullopt where the mask has no edge. All of one size.
std::optional<double> edge_error(const LabImage& output,
                                 const LabImage& exact,
                                 const data::Mask& wall);

}  // namespace limewash::eval
