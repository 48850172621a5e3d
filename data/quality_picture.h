#pragma once
// What the parts of mask quality look at: photo, mask and core at a working size, in Lab.

#include <array>
#include <cstdint>
#include <vector>

#include <opencv2/core/mat.hpp>

#include "data/image.h"

namespace limewash::data {

/// Longer side of the working size; larger samples are scaled down by area.
inline constexpr int64_t kQualitySide = 256;

struct QualityPicture {
  /// CIELAB, smoothed by 3 x 3 against the camera's noise; float, 3 channels.
  cv::Mat lab;
  cv::Mat mask, core;  ///< 0 or 255; where more than half of a pixel is

  QualityPicture(const Image& photo, const Mask& wall, const Mask& wall_core);

  int height() const {
    return mask.rows;
  }
  int width() const {
    return mask.cols;
  }
  /// Square root of the area in pixels.
  double side() const;
};

/// a and b of a surface as they would be at L = 50: dividing by L + 16 takes the amount of light
/// out, since light scales X, Y and Z alike and Lab holds their cube roots.
std::array<float, 2> chroma_without_light(const cv::Vec3f& lab);

}  // namespace limewash::data
