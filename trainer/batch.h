#pragma once
// The samples of an optimizer step with every random draw made: each a pure function of (seed,
// purpose, epoch, the sample's id), so that neither ranks nor batch sizes change what is trained
// on.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/dataset.h"
#include "data/latent_cache.h"
#include "models/noise_schedule.h"
#include "trainer/options.h"

namespace limewash::trainer {

/// One sample of the endless stream, with the draws that need no pixels.
struct StreamSample {
  int64_t index = 0;  ///< in the dataset
  uint64_t id = 0;    ///< stable id
  uint64_t epoch = 0;
  int64_t recoloring = 0;  ///< which of the K cached references
  int64_t timestep = 0;
  bool drop_reference = false;
  double quality = 1;  ///< the sample's loss weight
};

/// A forward pass. N samples, latents [C, h, w], embeddings of width E.
struct MicroBatch {
  at::Tensor z0, noise;     ///< [N, C, h, w]
  at::Tensor mask;          ///< [N, 1, h, w], 1 = hole
  at::Tensor core;          ///< [N, 1, h, w], share of the pixel that is core
  at::Tensor hole_latents;  ///< [N, C, h, w]
  at::Tensor embeddings;    ///< [N, E] or [N, P, E]: the references, where not dropped
  at::Tensor timesteps;     ///< [N] int64
  at::Tensor quality;       ///< [N]
  at::Tensor asked_lab;     ///< [N, 3], the colour asked for
};

/// The stream of samples over a cached dataset.
class BatchSource {
 public:
  /// `dropped_embedding`: what stands for a dropped reference, of the shape of a cached embedding.
  BatchSource(const data::Dataset& dataset,
              const data::LatentCache& cache,
              const at::Tensor& dropped_embedding,
              const models::NoiseScheduleConfig& schedule,
              const TrainingOptions& options,
              bool quality_weight,
              int64_t recolorings,
              uint64_t seed);

  /// The global batch of optimizer step `step` (from 0), whatever the number of ranks.
  std::vector<StreamSample> global_batch(int64_t step) const;
  /// The tensors of `count` samples from `samples[first]` on.
  MicroBatch micro_batch(const std::vector<StreamSample>& samples,
                         int64_t first,
                         int64_t count) const;
  /// Sum over the samples of quality x sum of the noise loss's pixel weights: what the global batch
  /// divides by.
  double noise_weight_total(const std::vector<StreamSample>& samples,
                            const NoiseLossOptions& options) const;
  /// Whether a sample has any core pixel, so that it can have a colour loss.
  bool has_core(const StreamSample& sample) const;
  /// Passes over the dataset that are complete before step `step`.
  double epoch_at(int64_t step) const;

 private:
  const data::Dataset& dataset_;
  const data::LatentCache& cache_;
  at::Tensor dropped_embedding_;  // [E] or [P, E]
  int64_t num_train_timesteps_;
  TrainingOptions options_;
  bool quality_weight_;
  int64_t recolorings_;
  uint64_t seed_;
  std::vector<double> hole_area_, core_area_;  // latent pixels, by dataset index
};

}  // namespace limewash::trainer
