#pragma once
// The samples of an optimizer step with every random draw made: each a pure function of (seed,
// purpose, epoch, the sample's id), so that neither ranks nor batch sizes change what is trained
// on. Worker threads read them and make the draws ahead of the step that needs them.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/dataset.h"
#include "data/latent_cache.h"
#include "data/loader.h"
#include "data/sample_order.h"
#include "models/noise_schedule.h"
#include "trainer/options.h"

namespace limewash::trainer {

/// One sample of the endless stream, with the draws that need no pixels.
struct StreamSample {
  int64_t index = 0;  ///< in the dataset
  uint64_t id = 0;    ///< stable id
  uint64_t epoch = 0;
  int64_t timestep = 0;
  bool drop_reference = false;
  bool has_core = true;  ///< so that it can have a colour loss
  double quality = 1;    ///< the sample's loss weight
};

/// A forward pass. N samples, latents [C, h, w], embeddings of width E.
struct MicroBatch {
  std::vector<StreamSample> samples;  ///< N, as global_batch has them but for bad ones' stand-ins
  at::Tensor z0, noise;               ///< [N, C, h, w]
  at::Tensor mask;                    ///< [N, 1, h, w], 1 = hole
  at::Tensor core;                    ///< [N, 1, h, w], share of the pixel that is core
  at::Tensor hole_latents;            ///< [N, C, h, w]
  at::Tensor embeddings;              ///< [N, E] or [N, P, E]: the references, where not dropped
  at::Tensor timesteps;               ///< [N] int64
  at::Tensor quality;                 ///< [N]
  at::Tensor told;                    ///< [N], 1 where the reference is not dropped, else 0
  at::Tensor asked_lab;               ///< [N, 3], the colour asked for
  at::Tensor core_on_host;            ///< `core` where it was read: crops are chosen by it

  /// The same on `device`; from pinned memory without waiting for the copies.
  MicroBatch to(at::Device device) const;
  /// Memory on `device` for a batch of these shapes.
  MicroBatch empty_on(at::Device device) const;
  /// Take over the samples of `batch`, whose tensors have the shapes of these, and the values of
  /// its tensors: these stay where they are. Leaves what is on the host alone, and does not wait
  /// for the copies either.
  void copy_from(const MicroBatch& batch);
  /// The shapes of all tensors, as a text.
  std::string shapes() const;
};

/// What a stream is drawn from; references outlive it.
struct BatchSourceParts {
  const data::Dataset& dataset;
  const data::LatentCache& cache;
  /// What stands for a dropped reference, of the shape of a cached embedding.
  at::Tensor dropped_embedding;
  const models::NoiseScheduleConfig& schedule;
  int64_t recolorings = 1;
  uint64_t seed = 42;
  int rank = 0, ranks = 1;
  data::LoaderOptions loader;
  bool pinned = false;      ///< batches lie in pinned memory, for a GPU to copy from
  double offset_noise = 0;  ///< strength of the noise that a channel has in common
};

/// The stream of samples over a cached dataset.
class BatchSource {
 public:
  BatchSource(BatchSourceParts parts, const TrainingOptions& options, bool quality_weight);
  ~BatchSource();

  /// The global batch of optimizer step `step` (from 0), whatever the number of ranks.
  std::vector<StreamSample> global_batch(int64_t step) const;
  /// Go on with this rank's first micro-batch of step `step`. O(1).
  void seek(int64_t step);
  /// This rank's next micro-batch. The micro-batches of a step go round the ranks. A sample that
  /// can't be read is an InputError naming it, unless such are skipped.
  MicroBatch next();
  /// Sum over the samples of quality x sum of the noise loss's pixel weights: what the global batch
  /// divides by.
  double noise_weight_total(const std::vector<StreamSample>& samples,
                            const NoiseLossOptions& options) const;
  /// Passes over the dataset that are complete before step `step`.
  double epoch_at(int64_t step) const;
  /// How long `next` has waited for the workers, all calls together.
  double waited_seconds() const;
  /// The ids of the samples that this rank has skipped.
  std::vector<std::string> skipped() const;

 private:
  /// All draws of a sample that need no pixels.
  StreamSample draw(const data::StreamPosition& position) const;
  int64_t variant_of(const StreamSample& sample) const;
  /// Where micro-batch `number` of this rank stands in the order.
  data::BatchPlan plan(int64_t number) const;
  /// Put z_0 in the place of the target's mean, noise in that of its deviation, and the dropped
  /// embedding where references are dropped.
  void make_draws(data::CachedBatch& batch) const;

  BatchSourceParts parts_;
  TrainingOptions options_;
  bool quality_weight_;
  data::SampleOrder order_;
  std::unique_ptr<data::CachedLoader> loader_;  // last: its threads use the rest
};

}  // namespace limewash::trainer
