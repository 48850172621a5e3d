#pragma once
// Parts of mask quality that look at the mask's boundary.

#include "data/quality_picture.h"

namespace limewash::data {

/// The length of the mask's boundary after smoothing (a Gaussian of 2 % of the square root of its
/// area, cut at half) over its length before; at most 1. Lengths count the sides of pixels between
/// wall and not wall, so that slanted lines cost the same before and after; the picture's border
/// does not count. Splinters and small holes vanish in the smoothing. 1 where there is no boundary.
float boundary_roughness(const QualityPicture& picture);

/// How much more often than by chance the boundary runs along an edge of the picture: 2 p - 1, at
/// least 0, where p is the probability that a pixel of the boundary lies by a stronger edge than
/// one beside it, 3 pixels to 5 % of the picture's side away. An edge is the Lab difference over
/// two pixels, the largest within one pixel. 1 where there is no boundary.
float edge_agreement(const QualityPicture& picture);

}  // namespace limewash::data
