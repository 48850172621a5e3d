#pragma once
// How well a mask agrees with another: by area, and at the boundary.

#include <cstdint>
#include <optional>

#include <nlohmann/json_fwd.hpp>

#include "data/image.h"

namespace limewash::eval {

struct MaskAgreement {
  /// Intersection over union; missing when both masks are empty.
  std::optional<double> iou;
  /// Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
  /// Segmentation", 2016 (DAVIS): the share of `mask`'s boundary pixels near the truth's boundary,
  /// the share of the truth's near the mask's, and their harmonic mean. A share of no pixels is
  /// missing; the mean is 0 where one mask alone has a boundary, and missing where neither has.
  std::optional<double> boundary_precision, boundary_recall, boundary_f;
  /// How far "near" is, in pixels: 0.008 of the diagonal, rounded up.
  int64_t boundary_tolerance = 0;
};

/// `mask` against `truth`; sizes must agree (InputError). The boundary of a mask are the pixels
/// that differ from their right, lower or lower right neighbour, as DAVIS' own code has it; the
/// picture's border is none.
MaskAgreement compare_masks(const data::Mask& mask, const data::Mask& truth);

/// {iou, boundary_f, boundary_precision, boundary_recall, boundary_tolerance}; missing is null.
nlohmann::ordered_json to_json(const MaskAgreement& agreement);

}  // namespace limewash::eval
