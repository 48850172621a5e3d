#pragma once
// The forward process z_t = sqrt(abar_t) z_0 + sqrt(1 - abar_t) eps, as diffusers' DDPMScheduler
// and DDIMScheduler define it.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/device_constant.h"

namespace limewash::models {

enum class PredictionType { kEpsilon, kVPrediction };

/// `scheduler/scheduler_config.json`, with diffusers' names.
struct NoiseScheduleConfig {
  int64_t num_train_timesteps = 1000;
  double beta_start = 0.00085;
  double beta_end = 0.012;
  std::string beta_schedule = "scaled_linear";  ///< or "linear"
  PredictionType prediction_type = PredictionType::kEpsilon;
  bool rescale_betas_zero_snr = false;
  bool set_alpha_to_one = false;
  int64_t steps_offset = 1;
  std::string timestep_spacing = "leading";  ///< or "trailing", "linspace"

  static NoiseScheduleConfig from_json(const std::filesystem::path& path);
};

/// abar and what follows from it. Tables are float32, computed as diffusers computes them.
class NoiseSchedule {
 public:
  explicit NoiseSchedule(NoiseScheduleConfig config);
  const NoiseScheduleConfig& config() const;
  /// abar [num_train_timesteps], float32.
  const at::Tensor& alphas_cumprod(at::Device device = at::kCPU) const;

  /// z_t from z_0 [N, C, H, W], noise like it, timesteps [N] (int64).
  at::Tensor add_noise(const at::Tensor& z0,
                       const at::Tensor& noise,
                       const at::Tensor& timesteps) const;
  /// What the network is trained to output: eps, or v = sqrt(abar) eps - sqrt(1 - abar) z_0.
  at::Tensor training_target(const at::Tensor& z0,
                             const at::Tensor& noise,
                             const at::Tensor& timesteps) const;
  /// z_0 out of the network's output. For eps-prediction abar is clamped away from 0.
  at::Tensor predict_z0(const at::Tensor& z_t,
                        const at::Tensor& output,
                        const at::Tensor& timesteps) const;
  /// eps out of the network's output.
  at::Tensor predict_noise(const at::Tensor& z_t,
                           const at::Tensor& output,
                           const at::Tensor& timesteps) const;
  /// The timesteps of a `steps`-step sampler, descending, spaced as diffusers' DDIMScheduler spaces
  /// them.
  std::vector<int64_t> inference_timesteps(int64_t steps) const;

 private:
  NoiseScheduleConfig config_;
  DeviceConstant alphas_cumprod_;
};

}  // namespace limewash::models
