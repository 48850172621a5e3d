#pragma once
// What is minimised: the noise loss, and the colour loss on the predicted z_0. Every term is
// divided by a count over the global batch that all ranks know beforehand, so that summed gradients
// are the gradient of the whole.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/noise_schedule.h"
#include "trainer/batch.h"
#include "trainer/options.h"

namespace limewash::trainer {

/// Denominators of the terms over the global batch.
struct LossScale {
  double noise_weight = 1;  ///< BatchSource::noise_weight_total
  double color_weight =
      0;  ///< quality summed over the samples that the colour loss counts; 0: none
};

/// Shares of the loss of one micro-batch; over all micro-batches of all ranks they sum to the loss.
struct LossTerms {
  at::Tensor total;  ///< scalar to differentiate
  at::Tensor noise;  ///< detached scalar
  at::Tensor color;  ///< detached scalar, before its weight
};

class Objective {
 public:
  /// `latent_to_rgb`: affine map [C + 1, 3] from scaled latents to sRGB in [0, 1].
  Objective(const LossOptions& options,
            const models::NoiseSchedule& schedule,
            const std::vector<float>& latent_to_rgb);

  /// Whether the colour loss counts this sample at optimizer step `step`.
  bool counts_color(const StreamSample& sample, int64_t step) const;
  LossScale scale(const BatchSource& source,
                  const std::vector<StreamSample>& samples,
                  int64_t step) const;
  /// `z_t` and the network's `output` [N, C, h, w]; `samples[first...]` are the batch's samples.
  LossTerms operator()(const MicroBatch& batch,
                       const std::vector<StreamSample>& samples,
                       int64_t first,
                       const at::Tensor& z_t,
                       const at::Tensor& output,
                       const LossScale& scale,
                       int64_t step) const;

 private:
  /// Mean of `latents` over the core, mapped to Lab: [N, C, h, w] -> [N, 3].
  at::Tensor region_lab(const at::Tensor& latents, const at::Tensor& core) const;
  LossOptions options_;
  const models::NoiseSchedule& schedule_;
  at::Tensor rgb_weight_, rgb_bias_;  // [C, 3], [3]
};

/// sRGB [..., 3] to CIELAB (D65), differentiable and continued beyond [0, 1]; equals
/// data::rgb_to_lab inside.
at::Tensor differentiable_rgb_to_lab(const at::Tensor& rgb);

}  // namespace limewash::trainer
