#pragma once
// Which paintings an evaluation makes, in global order.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/color.h"
#include "data/dataset.h"
#include "eval/evaluation_options.h"

namespace limewash::eval {

struct PlannedPainting {
  int64_t photo = 0;  ///< index into the dataset
  data::Rgb asked{};  ///< the reference colour
  bool own = false;   ///< it is the wall's own colour
  std::string name;   ///< "PHOTO-ID#rrggbb": keys the noise
};

/// Photo by photo, the own colour first, then its share of the palette: photo i of R references
/// takes palette[(i R + j) mod size].
std::vector<PlannedPainting> plan_paintings(
    const EvaluationOptions& options,
    int64_t photos,
    const std::function<const data::SampleInfo&(int64_t)>& info);

/// Which paintings are made together: those of one size, in the plan's order, at most `batch` at a
/// time; sizes by their numbers. `size_of` tells the number of a photo's size.
std::vector<std::vector<int64_t>> cut_batches(const std::vector<PlannedPainting>& paintings,
                                              int64_t batch,
                                              const std::function<int64_t(int64_t)>& size_of);

/// For each painting the one whose reference it gets in the shuffled control: half the list
/// further, then on to the first colour at least 10 CIEDE2000 from its own; -1 when there is none.
std::vector<int64_t> shuffle_references(const std::vector<PlannedPainting>& paintings);

/// The paintings that the picture grid shows: of each of the first `photos` photos the first that
/// asks for another colour than the wall's own, or else the first.
std::vector<int64_t> pick_for_grid(const std::vector<PlannedPainting>& paintings, int64_t photos);

}  // namespace limewash::eval
