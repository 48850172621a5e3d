#pragma once
// Batches of a dataset, read and put together by worker threads ahead of the one that takes them.
// What a batch holds follows from its number alone: neither workers nor timing change it.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "data/batch_memory.h"
#include "data/dataset.h"
#include "data/latent_cache.h"
#include "data/prefetcher.h"
#include "data/sample_order.h"

namespace limewash::data {

/// A batch as a stretch of one bucket's stream: positions [first, first + count).
struct BatchPlan {
  int64_t bucket = 0, first = 0, count = 0;
};

/// What batch `number` (0, 1, 2, ...) is made of. A pure function, called from any thread.
using PlanBatch = std::function<BatchPlan(int64_t number)>;

struct LoaderOptions {
  /// Threads; 0: as many as the loader thinks right for the cores of this process.
  int64_t workers = 0;
  /// Batches that wait or are in work at a time; 0: two more than workers.
  int64_t batches_ahead = 0;
  /// What becomes of a sample that is damaged or not finite. False: its batch is an InputError that
  /// names it. True: the next good sample of its bucket's stream stands in, it is counted, and one
  /// warning names it. 16 bad ones in a row are an error in any case.
  bool skip_bad_samples = false;
  AllocateBatch allocate;  ///< empty: pooled_memory()
};

/// The workers that `workers` = 0 means: one on up to four cores, one more for every four cores
/// beyond, at most eight. One thread prepares what several train on.
int64_t default_workers();

/// Reads samples one by one as LoaderOptions::skip_bad_samples says. Safe from any thread.
class SampleReader {
 public:
  SampleReader(const Dataset& dataset, const SampleOrder& order, bool skip_bad_samples);
  /// Call `read` for the sample at `position` of a bucket's stream; it throws InputError when the
  /// sample is bad. Returns the sample that was read in the end.
  StreamPosition read(int64_t bucket,
                      int64_t position,
                      const std::function<void(const StreamPosition&)>& read) const;
  /// The ids of the samples that were skipped, sorted.
  std::vector<std::string> skipped() const;

 private:
  const Dataset& dataset_;
  const SampleOrder& order_;
  bool skip_bad_samples_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> skipped_;
};

/// N cached samples of one size, float32, row-major, in one block.
struct CachedBatch {
  std::vector<StreamPosition> samples;             ///< N; stand-ins included
  int64_t channels = 0, height = 0, width = 0;     ///< of the latents
  std::span<float> target_mean, target_deviation;  ///< [N, C, h, w]
  std::span<float> hole;                           ///< [N, C, h, w]
  std::span<float> mask, core;                     ///< [N, h, w]
  std::span<float> embedding;                      ///< [N, ...embedding_shape]
  std::span<float> color;                          ///< [N, 3]
  BatchMemory memory;
};

/// Loads from a latent cache. Each sample shows the reference and the variant of its epoch.
class CachedLoader {
 public:
  /// `finish`, when given, is called with each batch on the worker that made it. The references
  /// outlive the loader. `seed`, `recolorings`: as the cache was made.
  CachedLoader(const Dataset& dataset,
               const LatentCache& cache,
               const SampleOrder& order,
               PlanBatch plan,
               uint64_t seed,
               int64_t recolorings,
               const LoaderOptions& options,
               std::function<void(CachedBatch&)> finish = nullptr);

  void seek(int64_t number) {
    batches_.seek(number);
  }
  CachedBatch next() {
    return batches_.next();
  }
  double waited_seconds() const {
    return batches_.waited_seconds();
  }
  std::vector<std::string> skipped() const {
    return reader_.skipped();
  }

 private:
  CachedBatch make(int64_t number) const;
  const Dataset& dataset_;
  const LatentCache& cache_;
  PlanBatch plan_;
  uint64_t seed_;
  int64_t recolorings_;
  AllocateBatch allocate_;
  std::function<void(CachedBatch&)> finish_;
  SampleReader reader_;
  Prefetcher<CachedBatch> batches_;  // last: its threads use the rest
};

/// N samples of one size as they stand in the shards, in one block.
struct PixelBatch {
  std::vector<StreamPosition> samples;  ///< N; stand-ins included
  int64_t height = 0, width = 0;
  std::span<uint8_t> image;       ///< [N, H, W, 3], RGB
  std::span<uint8_t> mask, core;  ///< [N, H, W], 0 or 255
  BatchMemory memory;
};

/// Loads pixels from the shards.
class PixelLoader {
 public:
  PixelLoader(const Dataset& dataset,
              const SampleOrder& order,
              PlanBatch plan,
              const LoaderOptions& options);

  void seek(int64_t number) {
    batches_.seek(number);
  }
  PixelBatch next() {
    return batches_.next();
  }
  double waited_seconds() const {
    return batches_.waited_seconds();
  }
  std::vector<std::string> skipped() const {
    return reader_.skipped();
  }

 private:
  PixelBatch make(int64_t number) const;
  const Dataset& dataset_;
  PlanBatch plan_;
  AllocateBatch allocate_;
  SampleReader reader_;
  Prefetcher<PixelBatch> batches_;  // last: its threads use the rest
};

/// The buckets of a dataset as SampleOrder takes them.
std::vector<std::vector<int64_t>> bucket_members(const Dataset& dataset);

}  // namespace limewash::data
