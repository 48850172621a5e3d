#pragma once
// How stored pictures become wall masks: soft masks by a threshold, label maps by class numbers.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/image.h"

namespace limewash::data {

/// What of a stored mask is wall.
struct MaskRule {
  /// Soft masks: wall is what is brighter than this share of white, 0-1. A mask whose largest
  /// stored value is 1 is taken as 0/1.
  double threshold = 0.5;
  /// Label maps: wall is where the stored value (grey, or the index into a palette) is one of
  /// these. Empty: the mask is a soft mask.
  std::vector<double> classes = {};
};

/// A mask from any supported picture, upright, at its own size. Without classes transparency counts
/// as black and 16-bit grey keeps its precision. With classes the picture has to be a PNG, TIFF or
/// lossless WebP, grey or (PNG, TIFF) with a palette; colour is accepted where red, green and blue
/// are equal; transparent pixels are no wall. Throws as read_image.
Mask read_mask(const std::filesystem::path& path, const MaskRule& rule);
Mask decode_mask(std::string_view bytes, const std::string& name, const MaskRule& rule);

}  // namespace limewash::data
