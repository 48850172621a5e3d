#include "data/sample_order.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/error.h"
#include "runtime/random.h"

namespace limewash::data {

StreamPosition sample_at(uint64_t seed, int64_t dataset_size, int64_t global_position) {
  if (dataset_size <= 0) throw InputError("the dataset has no samples to draw from");
  const auto size = static_cast<uint64_t>(dataset_size),
             position = static_cast<uint64_t>(global_position);
  const uint64_t epoch = position / size;
  return {epoch, static_cast<int64_t>(permuted_index(seed, epoch, size, position % size))};
}

int64_t recoloring_of(uint64_t seed, uint64_t epoch, uint64_t sample_id, int64_t recolorings) {
  if (recolorings <= 1) return 0;
  const auto count = static_cast<uint64_t>(recolorings);
  const uint64_t offset =
      RandomStream(seed, Purpose::kReference, ~uint64_t{0}, sample_id).below(count);
  return static_cast<int64_t>((offset + epoch % count) % count);
}

SampleOrder::SampleOrder(uint64_t seed,
                         int64_t global_batch,
                         std::vector<std::vector<int64_t>> buckets)
    : seed_(RandomStream(seed, Purpose::kBucket, 0, 0).next_u64()),
      global_batch_(global_batch),
      buckets_(std::move(buckets)) {
  if (global_batch < 1)
    throw InputError("a batch of " + std::to_string(global_batch) + " samples can't be drawn");
  for (size_t b = 0; b < buckets_.size(); ++b) {
    const auto size = static_cast<int64_t>(buckets_[b].size());
    const int64_t steps =
        size == 0 ? 0 : std::max<int64_t>(1, (size + global_batch / 2) / global_batch);
    bucket_steps_.push_back(steps);
    // Buckets of equal size would be walked in the same order otherwise.
    bucket_seeds_.push_back(b == 0 ? seed : RandomStream(seed, Purpose::kBucket, 1, b).next_u64());
    steps_of_cycle_ += steps;
  }
  if (steps_of_cycle_ == 0) throw InputError("the dataset has no samples to draw from");
}

std::shared_ptr<const SampleOrder::Cycle> SampleOrder::cycle(int64_t number) const {
  const std::lock_guard lock(mutex_);
  auto& recent = recent_[static_cast<size_t>(number % 2)];
  if (recent != nullptr && recent->number == number) return recent;
  std::vector<int32_t> slots;
  for (size_t b = 0; b < buckets_.size(); ++b)
    slots.insert(slots.end(), static_cast<size_t>(bucket_steps_[b]), static_cast<int32_t>(b));
  auto cycle = std::make_shared<Cycle>();
  cycle->number = number;
  std::vector<int32_t> seen(buckets_.size());
  for (int64_t i = 0; i < steps_of_cycle_; ++i) {
    const auto slot = permuted_index(seed_,
                                     static_cast<uint64_t>(number),
                                     static_cast<uint64_t>(steps_of_cycle_),
                                     static_cast<uint64_t>(i));
    const int32_t bucket = slots[static_cast<size_t>(slot)];
    cycle->buckets.push_back(bucket);
    cycle->ranks.push_back(seen[static_cast<size_t>(bucket)]++);
  }
  recent = std::move(cycle);
  return recent;
}

StepPlan SampleOrder::step(int64_t step) const {
  if (buckets_.size() == 1) return {0, step * global_batch_};
  const int64_t number = step / steps_of_cycle_;
  const auto place = static_cast<size_t>(step % steps_of_cycle_);
  const auto now = cycle(number);
  const int64_t bucket = now->buckets[place];
  const int64_t steps_before =
      number * bucket_steps_[static_cast<size_t>(bucket)] + now->ranks[place];
  return {bucket, steps_before * global_batch_};
}

StreamPosition SampleOrder::at(int64_t bucket, int64_t position) const {
  const auto& members = buckets_.at(static_cast<size_t>(bucket));
  const auto place = sample_at(
      bucket_seeds_[static_cast<size_t>(bucket)], static_cast<int64_t>(members.size()), position);
  return {place.epoch, members[static_cast<size_t>(place.index)]};
}

int64_t SampleOrder::steps_of_cycle() const {
  return steps_of_cycle_;
}

}  // namespace limewash::data
