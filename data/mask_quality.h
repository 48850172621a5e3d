#pragma once
// How far a wall mask can be trusted, 0-1, from simple parts that are each reported.

#include <functional>
#include <string>
#include <vector>

#include "data/image.h"

namespace limewash::data {

/// A mask and what it is judged by, all at the sample's own size.
struct QualityInput {
  const Image& photo;
  const Mask& mask;
  const Mask& core;
  const Mask* second_mask = nullptr;  ///< by another hand
  double lowest_wall_share = 0, highest_wall_share = 1;
  /// The trained classifier's score of photo and mask.
  std::function<float(const Image&, const Mask&)> classifier = nullptr;
};

/// The names of the parts, in the order in which `quality_parts` gives them. 1 is good in each, 0
/// bad; docs/quality.md says what each is worth.
///
/// `wall_share`: 1 well inside the allowed range of shares, 0.5 at its limits: min(s / 2 low,
/// (1 - s) / 2 (1 - high)), cut to 0-1.
/// `connected_pieces`: the share of the wall that lies in its four largest pieces: a room shows few
/// wall surfaces, a noisy mask many splinters.
/// `boundary_roughness`, `edge_agreement`: data/mask_boundary.h.
/// `color_homogeneity`: exp(-d / 20), d the median distance in CIELAB's a, b from the wall's median
/// a, b over the core: paint has one hue, whatever the light.
/// `leakage`, `foreign_objects`, `region_agreement`: data/mask_regions.h.
/// `second_mask_iou`: the IoU with a second mask.
/// `classifier`: p(clean) + p(noisy) / 2 of the trained classifier.
const std::vector<std::string>& quality_part_names();

/// Which parts are computed, as quality_part_names().
using QualitySelection = std::vector<bool>;

/// The parts of these names, or all of them when there are none. An unknown name is a ConfigError
/// naming `key` and the known ones.
QualitySelection select_quality_parts(const std::vector<std::string>& names,
                                      const std::string& key);

/// The parts of one sample, as quality_part_names(). NaN where a part was not selected, or there is
/// no second mask or no classifier.
std::vector<float> quality_parts(const QualityInput& input, const QualitySelection& selection);

/// The weighted geometric mean of those parts that are not NaN: one bad part makes a bad mask. 1 of
/// none at all. The weights were fitted on procedural rooms with wrong masks (docs/quality.md).
float quality_of(const std::vector<float>& parts);

}  // namespace limewash::data
