#pragma once
// Deterministic DDIM sampling (Song et al., 2021; diffusers' DDIMScheduler with eta 0) of the
// inpainting UNet.

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

#include "models/noise_schedule.h"
#include "models/unet.h"

namespace limewash::inference {

struct SamplerOptions {
  int64_t steps = 20;
  double guidance = 1.0;  ///< classifier-free, on the reference; 1: none
};

/// What a batch of paintings is conditioned on. N photos, latents [C, h, w], T reference tokens of
/// width D.
struct Condition {
  at::Tensor noise;              ///< [N, C, h, w]
  at::Tensor mask;               ///< [N, 1, h, w], 1 = hole
  at::Tensor hole_latents;       ///< [N, C, h, w], scaled
  at::Tensor text;               ///< [1 or N, L, D]
  at::Tensor reference;          ///< [N, T, D] or undefined: no reference
  at::Tensor dropped_reference;  ///< [1 or N, T, D]: the unconditional side of guidance
};

/// What the sampler asks of a network: its output for z_t [N, C, h, w] at one timestep.
using Denoiser = std::function<at::Tensor(const at::Tensor& z_t, int64_t timestep)>;

/// From noise [N, C, h, w] to z_0 in `steps` steps of any network. The step goes from t to
/// t - num_train_timesteps / steps; below zero abar is 1 (`set_alpha_to_one`) or abar_0. A schedule
/// whose abar reaches 0 needs v-prediction. Returns an undefined tensor when a stop was requested
/// meanwhile.
at::Tensor run_ddim(const Denoiser& denoiser,
                    const models::NoiseSchedule& schedule,
                    int64_t steps,
                    const at::Tensor& noise);

/// z_0 [N, C, h, w], scaled latents, without gradients. Guidance other than 1 needs both references
/// and runs both sides in one batch of 2 N. Returns an undefined tensor when a stop was requested
/// meanwhile.
at::Tensor sample_ddim(models::UNet2DConditionModel& unet,
                       const models::NoiseSchedule& schedule,
                       const SamplerOptions& options,
                       const Condition& condition);

}  // namespace limewash::inference
