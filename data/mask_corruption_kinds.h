#pragma once
// How each kind of wrong mask is made: from a strength in [0, 1], so that the error can be searched
// for.

#include <functional>

#include <opencv2/core/mat.hpp>

#include "data/mask_corruption.h"

namespace limewash::data {

/// What a kind is made from.
struct CorruptionInput {
  cv::Mat photo;  ///< RGB, 8 bits
  cv::Mat mask;   ///< 0 or 255
  double side;    ///< square root of the picture's area
};

/// Strength -> mask: the right one at 0, ever worse up to 1.
using Corruptor = std::function<cv::Mat(double strength)>;

/// Everything is drawn here, so that one corruptor differs by its strength only.
Corruptor make_corruptor(Corruption kind, const CorruptionInput& input, RandomStream stream);

}  // namespace limewash::data
