#pragma once
// Which sample stands where in the stream of a training: a pure function, so seeking is O(1) and
// the order depends on neither ranks nor workers.

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

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

/// What one optimizer step is made of: positions [first, first + global batch) of the endless
/// stream of one bucket.
struct StepPlan {
  int64_t bucket = 0;
  int64_t first = 0;
};

/// The order of a dataset whose samples have one or more sizes (aspect buckets). All samples of a
/// step come from one bucket, so that they fit one batch on every rank. Steps come in cycles: in a
/// cycle, a bucket of n samples has round(n / global batch) steps, at least one, and their order is
/// drawn from (seed, cycle). Each bucket is a stream of its own as `sample_at` makes it; with a
/// single bucket the order is that of `sample_at`. Safe from any thread.
class SampleOrder {
 public:
  /// `buckets[b]`: the dataset's indices of the samples of bucket b; empty ones never come. Throws
  /// InputError when all are empty.
  SampleOrder(uint64_t seed, int64_t global_batch, std::vector<std::vector<int64_t>> buckets);

  /// What step `step` (0, 1, 2, ...) is made of. O(1), but for one pass over a cycle when it is the
  /// first of that cycle that is asked for.
  StepPlan step(int64_t step) const;
  /// The sample at a position of a bucket's stream.
  StreamPosition at(int64_t bucket, int64_t position) const;
  int64_t steps_of_cycle() const;

 private:
  /// One cycle: for each of its steps the bucket, and how many steps of that bucket came before it.
  struct Cycle {
    int64_t number = -1;
    std::vector<int32_t> buckets, ranks;
  };
  std::shared_ptr<const Cycle> cycle(int64_t number) const;

  uint64_t seed_;
  int64_t global_batch_;
  std::vector<std::vector<int64_t>> buckets_;
  std::vector<uint64_t> bucket_seeds_;
  std::vector<int64_t> bucket_steps_;  ///< of a cycle
  int64_t steps_of_cycle_ = 0;
  mutable std::mutex mutex_;
  /// Threads at work around the end of a cycle need two.
  mutable std::array<std::shared_ptr<const Cycle>, 2> recent_;
};

}  // namespace limewash::data
