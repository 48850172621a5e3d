#pragma once
// Which sample stands where in the stream of a training: a pure function, so seeking is O(1) and
// the order depends on neither ranks nor workers.

#include <cstdint>

namespace limewash::data {

struct StreamPosition {
  uint64_t epoch = 0;
  int64_t index = 0;  ///< of the sample in the dataset
};

/// The sample at `global_position` (0, 1, 2, ... over all epochs) of a dataset of `dataset_size`
/// samples: each epoch visits every sample once, in an order drawn from (seed, epoch).
StreamPosition sample_at(uint64_t seed, int64_t dataset_size, int64_t global_position);

/// Which of its `recolorings` references a sample shows in `epoch`: over as many epochs each comes
/// once; samples start at different ones.
int64_t recoloring_of(uint64_t seed, uint64_t epoch, uint64_t sample_id, int64_t recolorings);

}  // namespace limewash::data
