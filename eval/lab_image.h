#pragma once
// A whole image in CIELAB, and CIEDE2000 over its pixels.

#include <cstdint>
#include <vector>

#include "data/color.h"
#include "data/image.h"

namespace limewash::eval {

struct LabImage {
  int64_t height = 0, width = 0;
  std::vector<data::Lab> pixels;  ///< [height, width]
};

/// CIELAB of each pixel, computed in double.
LabImage to_lab(const data::Image& image);
/// Of one colour: as above where it is one of 8 bits, else data::rgb_to_lab.
data::Lab to_lab(const data::Rgb& color);

/// Where something is measured: indices into the rows of an image.
using Pixels = std::vector<int64_t>;

/// Pixels of value 128 and up.
Pixels inside(const data::Mask& mask);

/// The three parts of a painting. The ring takes what lies up to `ring` pixels (in rows and
/// columns) from the wall; outside is the rest.
struct Regions {
  Pixels hole, ring, outside;
};
Regions split_regions(const data::Mask& wall, int64_t ring = 3);

/// CIEDE2000 of each pixel of `pixels` against one colour, or against the same pixel of another
/// image.
std::vector<double> delta_e_2000(const LabImage& image,
                                 const Pixels& pixels,
                                 const data::Lab& color);
std::vector<double> delta_e_2000(const LabImage& image,
                                 const Pixels& pixels,
                                 const LabImage& other);

/// Median of L, of a and of b over `pixels`, which must not be empty: half of the pixels may be
/// lamps, shadows or furniture before it follows them.
data::Lab robust_mean(const LabImage& image, const Pixels& pixels);
/// Over all pixels of an image of at least one.
data::Lab robust_mean(const data::Image& image);

}  // namespace limewash::eval
