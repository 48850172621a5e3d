#pragma once
// A photo of an evaluation: what is measured on, and what a painter is given.

#include <optional>

#include "data/dataset.h"
#include "eval/evaluation_options.h"

namespace limewash::eval {

struct EvaluationPhoto {
  data::SampleInfo info;
  data::Sample sample;             ///< the right mask and core: where it is measured
  data::Mask given;                ///< what is to be repainted: the right mask, or a wrong one
  data::Rgb own_color;             ///< of the wall, as the given mask shows it
  std::optional<double> mask_iou;  ///< of the given mask with the right one, where it is wrong
};

/// Read sample `index`. With `evaluation.mask_corruption` the given mask is a wrong one, drawn from
/// (options.seed, kCorruption, 0, the photo's stable id), and the own colour is the median under
/// it, since whoever has a wrong mask knows no other.
EvaluationPhoto load_evaluation_photo(const data::Dataset& dataset,
                                      int64_t index,
                                      const EvaluationOptions& options);

}  // namespace limewash::eval
