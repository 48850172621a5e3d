#pragma once
// What docs/colour.md says of repainting and of holes, measured on procedural rooms, where the
// exact repaint is known: how close a recolouring comes, what a hole gives away of the old paint,
// and what it keeps of the light.

#include <cstdint>
#include <string>
#include <vector>

#include "data/image.h"
#include "data/reference.h"
#include "data/room.h"

namespace limewash::data::study {

/// How a mask is wrong: pixels by which it is dilated (> 0) or eroded (< 0).
Mask wrong_mask(const Mask& mask, int64_t pixels);

/// Mean CIEDE2000 per pixel from the exact repaint, mean over rooms.
struct RecolorError {
  double wall = 0;  ///< over the mask
  double deep = 0;  ///< pixels whose 3 x 3 neighbours are all wall
  double edge = 0;  ///< the others of the mask
};
using RecolorMethod = Image (*)(const Image&, const Mask&, const Rgb&, const Rgb&);
RecolorError recolor_error(RecolorMethod method, uint64_t rooms, int64_t size, bool random_colors);

/// What a linear predictor makes of a hole, cross-validated over rooms (five folds).
struct Leak {
  double r2_lightness = 0, r2_a = 0, r2_b = 0;  ///< of the old paint's CIELAB; at most 1
  double error = 0;                             ///< mean CIE76 of the predicted from the old paint
  double error_of_mean = 0;                     ///< the same when the mean paint is guessed
};

/// Predict the old paint from the pixels of the hole: means, deviations, steps and quantiles of
/// each channel; with `ring`, also from the means of the two pixels around it, which the network
/// sees.
Leak leak(
    const ReferenceOptions& options, int64_t mask_error, bool ring, uint64_t rooms, int64_t size);

/// What a hole keeps of the light: correlation of its lightness with that of the exact repaint in
/// another paint, median over rooms, over the true wall that is in the hole.
struct KeptLight {
  double low_pass = 0;  ///< both smoothed inside of the wall (Gaussian, sigma = size / 32)
  double pixels = 0;    ///< as they are
  double edge = 0;      ///< as they are, pixels within 4 of the wall's edge
};
KeptLight kept_light(const ReferenceOptions& options,
                     int64_t mask_error,
                     uint64_t rooms,
                     int64_t size);

/// Grids of pictures with a line of text above each column.
void draw_recolorings(const std::string& path);
void draw_holes(const std::string& path);

}  // namespace limewash::data::study
