#include "data/sample_order.h"

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

}  // namespace limewash::data
