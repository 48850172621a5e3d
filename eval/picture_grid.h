#pragma once
// The picture that a person looks at first: one row a painting.

#include <optional>
#include <string>
#include <vector>

#include "data/color.h"
#include "data/image.h"

namespace limewash::eval {

struct GridRow {
  std::string title;  ///< the photo's id
  data::Image source;
  data::Rgb reference{};
  data::Mask mask;     ///< what was to be repainted
  data::Image target;  ///< exact repaint, or recoloured
  bool exact = false;  ///< which of the two
  data::Image output;  ///< empty: not finite
  std::optional<double> delta_e_2000, delta_e_2000_exact;
  std::optional<data::Mask> right_mask = {};       ///< where `mask` is a wrong one on purpose
  std::optional<double> source_delta_e_2000 = {};  ///< to the reference
  std::optional<double> target_delta_e_2000 = {};  ///< to the reference
};

/// Six labelled columns (source, reference, mask, overlay, target, output), cells of at least 160
/// pixels a side whose height follows each row's photo, and under each picture what it measures. In
/// the overlay of a wrong mask, what it has too much is orange and what it lacks is blue. An empty
/// list gives a one-line picture that says so.
data::Image render_grid(const std::string& title, const std::vector<GridRow>& rows);

}  // namespace limewash::eval
