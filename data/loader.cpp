#include "data/loader.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include <spdlog/spdlog.h>

#include "data/variant.h"
#include "runtime/error.h"
#include "runtime/host_info.h"

namespace limewash::data {
namespace {

/// A whole bucket that can't be read is a lost disk, no bad sample.
constexpr int64_t kMostBadInARow = 16;

int64_t workers_of(const LoaderOptions& options) {
  return options.workers > 0 ? options.workers : default_workers();
}

int64_t window_of(const LoaderOptions& options) {
  return options.batches_ahead > 0 ? options.batches_ahead : workers_of(options) + 2;
}

/// Cuts a block into arrays, each at a multiple of 64 bytes.
class Carver {
 public:
  /// Count bytes first, with no block; then cut.
  explicit Carver(std::byte* block = nullptr) : block_(block) {}

  template <class T>
  std::span<T> take(int64_t count) {
    const int64_t offset = used_, bytes = count * static_cast<int64_t>(sizeof(T));
    used_ += (bytes + 63) / 64 * 64;
    if (block_ == nullptr) return {};
    return {reinterpret_cast<T*>(block_ + offset), static_cast<size_t>(count)};
  }
  int64_t used() const {
    return used_;
  }

 private:
  std::byte* block_;
  int64_t used_ = 0;
};

/// A number times zero is zero, unless it is not finite.
bool all_finite(std::span<const float> values) {
  constexpr size_t kLanes = 16;
  float sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += values[i + lane] * 0.0f;
  for (; i < values.size(); ++i) sums[0] += values[i] * 0.0f;
  return std::all_of(std::begin(sums), std::end(sums), [](float sum) { return sum == 0.0f; });
}

/// Copy one sample's values to their row, and refuse what is not finite.
void put_row(std::span<float> rows,
             int64_t row,
             std::span<const float> values,
             const std::string& id) {
  if (values.empty()) return;
  if (!all_finite(values))
    throw InputError(id +
                     ": its encoder outputs are not finite; without the cache's folder they "
                     "are made again");
  std::memcpy(
      rows.data() + row * static_cast<int64_t>(values.size()), values.data(), values.size_bytes());
}

}  // namespace

int64_t default_workers() {
  return std::min<int64_t>(8, 1 + (read_core_limits().usable() - 1) / 4);
}

std::vector<std::vector<int64_t>> bucket_members(const Dataset& dataset) {
  std::vector<std::vector<int64_t>> members;
  for (const Bucket& bucket : dataset.buckets()) members.push_back(bucket.samples);
  return members;
}

SampleReader::SampleReader(const Dataset& dataset, const SampleOrder& order, bool skip_bad_samples)
    : dataset_(dataset), order_(order), skip_bad_samples_(skip_bad_samples) {}

StreamPosition SampleReader::read(int64_t bucket,
                                  int64_t position,
                                  const std::function<void(const StreamPosition&)>& read) const {
  for (int64_t bad = 1;; ++bad) {
    const StreamPosition sample = order_.at(bucket, position + bad - 1);
    try {
      read(sample);
      return sample;
    } catch (const InputError& error) {
      const std::string& id = dataset_.info(sample.index).id;
      std::string message = error.what();
      if (message.find(id) == std::string::npos) message = id + ": " + message;
      if (!skip_bad_samples_) throw InputError(message);
      if (bad == kMostBadInARow)
        throw InputError(std::to_string(bad) + " samples in a row are bad; the last: " + message);
      const std::lock_guard lock(mutex_);
      if (skipped_.insert(id).second) spdlog::warn("skipped: {}", message);
    }
  }
}

std::vector<std::string> SampleReader::skipped() const {
  const std::lock_guard lock(mutex_);
  return {skipped_.begin(), skipped_.end()};
}

CachedLoader::CachedLoader(const Dataset& dataset,
                           const LatentCache& cache,
                           const SampleOrder& order,
                           PlanBatch plan,
                           uint64_t seed,
                           int64_t recolorings,
                           const LoaderOptions& options,
                           std::function<void(CachedBatch&)> finish)
    : dataset_(dataset),
      cache_(cache),
      plan_(std::move(plan)),
      seed_(seed),
      recolorings_(recolorings),
      allocate_(options.allocate ? options.allocate : pooled_memory()),
      finish_(std::move(finish)),
      reader_(dataset, order, options.skip_bad_samples),
      batches_([this](int64_t number) { return make(number); },
               workers_of(options),
               window_of(options)) {}

CachedBatch CachedLoader::make(int64_t number) const {
  const BatchPlan plan = plan_(number);
  CachedBatch batch;
  const auto lay_out = [&](const CachedSample& sample) {
    const auto cut = [&](Carver carver) {
      const auto rows = [&](std::span<const float> values) {
        return carver.take<float>(plan.count * static_cast<int64_t>(values.size()));
      };
      batch.target_mean = rows(sample.target_mean);
      batch.target_deviation = rows(sample.target_deviation);
      batch.hole = rows(sample.hole);
      batch.mask = rows(sample.mask);
      batch.core = rows(sample.core);
      batch.embedding = rows(sample.embedding);
      batch.color = carver.take<float>(plan.count * 3);
      return carver.used();
    };
    batch.memory = allocate_(cut(Carver()));
    cut(Carver(batch.memory.data));
    const auto plane = static_cast<int64_t>(sample.mask.size());
    batch.channels = static_cast<int64_t>(sample.hole.size()) / plane;
  };

  for (int64_t row = 0; row < plan.count; ++row) {
    const auto put = [&](const StreamPosition& position) {
      const SampleInfo& info = dataset_.info(position.index);
      const int64_t k = recoloring_of(seed_, position.epoch, info.stable_id, recolorings_);
      const int64_t variant =
          variant_of(seed_, position.epoch, info.stable_id, recolorings_, cache_.variants());
      const CachedSample sample = cache_.sample(position.index, k, variant);
      if (batch.memory.data == nullptr) {
        lay_out(sample);
        batch.height = cache_.latent_height(position.index);
        batch.width = cache_.latent_width(position.index);
      }
      put_row(batch.target_mean, row, sample.target_mean, info.id);
      put_row(batch.target_deviation, row, sample.target_deviation, info.id);
      put_row(batch.hole, row, sample.hole, info.id);
      put_row(batch.mask, row, sample.mask, info.id);
      put_row(batch.core, row, sample.core, info.id);
      put_row(batch.embedding, row, sample.embedding, info.id);
      put_row(batch.color, row, sample.color, info.id);
    };
    batch.samples.push_back(reader_.read(plan.bucket, plan.first + row, put));
  }
  if (finish_) finish_(batch);
  return batch;
}

PixelLoader::PixelLoader(const Dataset& dataset,
                         const SampleOrder& order,
                         PlanBatch plan,
                         const LoaderOptions& options)
    : dataset_(dataset),
      plan_(std::move(plan)),
      allocate_(options.allocate ? options.allocate : pooled_memory()),
      reader_(dataset, order, options.skip_bad_samples),
      batches_([this](int64_t number) { return make(number); },
               workers_of(options),
               window_of(options)) {}

PixelBatch PixelLoader::make(int64_t number) const {
  const BatchPlan plan = plan_(number);
  const Bucket& bucket = dataset_.buckets().at(static_cast<size_t>(plan.bucket));
  PixelBatch batch;
  batch.height = bucket.height;
  batch.width = bucket.width;
  const int64_t plane = bucket.height * bucket.width;
  const auto cut = [&](Carver carver) {
    batch.image = carver.take<uint8_t>(plan.count * plane * 3);
    batch.mask = carver.take<uint8_t>(plan.count * plane);
    batch.core = carver.take<uint8_t>(plan.count * plane);
    return carver.used();
  };
  batch.memory = allocate_(cut(Carver()));
  cut(Carver(batch.memory.data));
  for (int64_t row = 0; row < plan.count; ++row) {
    const auto put = [&](const StreamPosition& position) {
      const Sample sample = dataset_.read(position.index);
      std::memcpy(&batch.image[static_cast<size_t>(row * plane * 3)],
                  sample.image.pixels.data(),
                  sample.image.pixels.size());
      std::memcpy(&batch.mask[static_cast<size_t>(row * plane)],
                  sample.mask.pixels.data(),
                  sample.mask.pixels.size());
      std::memcpy(&batch.core[static_cast<size_t>(row * plane)],
                  sample.core.pixels.data(),
                  sample.core.pixels.size());
    };
    batch.samples.push_back(reader_.read(plan.bucket, plan.first + row, put));
  }
  return batch;
}

}  // namespace limewash::data
