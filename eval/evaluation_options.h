#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/color.h"
#include "runtime/config.h"

namespace limewash::eval {

/// `evaluation`.
struct EvaluationOptions {
  int64_t every = 500;  ///< steps; 0: never
  int64_t photos = 50;  ///< the first of the validation set
  std::vector<std::string>
      palette;             ///< "#rrggbb"; empty: the 24 patches of the classic colour chart
  int64_t references = 2;  ///< palette colours per photo, in rotation; 0: the whole palette
  bool own_color = true;   ///< also ask for the wall's own colour
  int64_t steps = 20;
  int64_t seed = 42;
  double guidance = 1.0;
  int64_t batch = 16;
  std::string lpips;  ///< weights for `lpips_outside` (eval/make_lpips_weights.py); "": missing
  std::string mask_corruption = "none";  ///< none | any | a kind of data/mask_corruption.h
  double mask_iou = 0.7;                 ///< of the wrong masks with the right ones
  bool paste = false;                    ///< measure after the untouched pixels are pasted back
  void describe(config::Fields& fields);
  void validate() const;
  /// `palette`, or the classic chart where it is empty.
  std::vector<data::Rgb> colors() const;
  /// Whether painters are given wrong masks.
  bool corrupts_masks() const;
};

}  // namespace limewash::eval
