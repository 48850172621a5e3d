#pragma once
// The error of the network's output, and how much a timestep of it weighs.

#include <span>

#include <ATen/core/Tensor.h>

#include "models/noise_schedule.h"
#include "runtime/random.h"
#include "trainer/loss_options.h"

namespace limewash::trainer {

/// What an error d = output - target counts, averaged over the channels, [N, C, h, w] -> [N, 1, h,
/// w]: d^2; or, with c of the timestep, 2 c (sqrt(d^2 + c^2) - c) for huber and 2 (sqrt(d^2 + c^2)
/// - c) for smooth_l1, as the training scripts of diffusers have them.
at::Tensor output_error(const NoiseLossOptions& options,
                        const models::NoiseSchedule& schedule,
                        const at::Tensor& output,
                        const at::Tensor& target,
                        const at::Tensor& timesteps);

/// c of each timestep, [N]: constant; exponential, from 1 at timestep 0 towards huber_c; or snr,
/// (1 - huber_c) / (1 + sigma)^2 + huber_c with sigma^2 = (1 - abar) / abar.
at::Tensor huber_c(const NoiseLossOptions& options,
                   const models::NoiseSchedule& schedule,
                   const at::Tensor& timesteps);

/// Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", 2023, [N]:
/// min(SNR, gamma) / SNR for an epsilon-prediction and min(SNR, gamma) / (SNR + 1) for a
/// v-prediction; defined without signal, too.
at::Tensor min_snr_weight(const models::NoiseSchedule& schedule,
                          const at::Tensor& timesteps,
                          double gamma);

/// Add to one sample's noise [C, h, w] `strength` times a normal number a channel, drawn from
/// `stream`. `values_of_channel`: h * w.
void add_offset_noise(std::span<float> noise,
                      size_t values_of_channel,
                      double strength,
                      RandomStream stream);

}  // namespace limewash::trainer
