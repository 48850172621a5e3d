#pragma once
// Parts of mask quality that look at the regions of the picture: surfaces of one colour.

#include <cstdint>
#include <vector>

#include "data/quality_picture.h"

namespace limewash::data {

/// Labels 0 to count - 1 of the picture's regions.
struct Segmentation {
  cv::Mat labels;  ///< int32
  int count = 0;
};

/// Felzenszwalb and Huttenlocher, "Efficient graph-based image segmentation", IJCV 2004: neighbours
/// in Lab, from the most alike on, grow together unless the difference between two regions is
/// large beside those inside of them, which count as 0.7 at least. Regions under 0.1 % of the
/// picture join a neighbour.
Segmentation segment(const cv::Mat& lab);

/// 0-1 each.
struct RegionParts {
  /// The mask's area over itself and what looks like missed wall: outside pixels, each as much as
  /// its region looks like the wall.
  float leakage = 1;
  /// The mean likeness to the wall over the mask: floor, furniture and ceiling inside lower it.
  float foreign_objects = 1;
  /// The IoU of the mask and those regions that lie in it with more than half of their pixels: a
  /// right mask is made of whole surfaces.
  float region_agreement = 1;
};

/// A region's likeness to the wall is exp(-(c / 12)² - (l / 30)²), c and l the differences in
/// chroma (light taken out) and L from the wall's region: the one most of the mask is like. An
/// empty mask has parts of 1.
RegionParts region_parts(const QualityPicture& picture);

}  // namespace limewash::data
