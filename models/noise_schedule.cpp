#include "models/noise_schedule.h"

#include <cmath>
#include <utility>

#include <torch/torch.h>

#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

/// Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2024, algorithm 1.
at::Tensor with_zero_terminal_snr(const at::Tensor& betas) {
  at::Tensor root = at::cumprod(1 - betas, 0).sqrt();
  const at::Tensor first = root[0].clone(), last = root[-1].clone();
  root = (root - last) * (first / (first - last));
  const at::Tensor abar = at::pow(root, 2);
  const at::Tensor alphas = at::cat({abar.slice(0, 0, 1), abar.slice(0, 1) / abar.slice(0, 0, -1)});
  return 1 - alphas;
}

struct Coefficients {
  at::Tensor signal;  ///< sqrt(abar), [N, 1, 1, 1]
  at::Tensor noise;   ///< sqrt(1 - abar), [N, 1, 1, 1]
};

Coefficients coefficients(const DeviceConstant& alphas_cumprod,
                          const at::Tensor& timesteps,
                          const at::Tensor& like) {
  TORCH_CHECK(
      timesteps.dim() == 1 && timesteps.size(0) == like.size(0) && !timesteps.is_floating_point(),
      "timesteps: expected ",
      like.size(0),
      " integers, got ",
      timesteps.scalar_type(),
      " ",
      timesteps.sizes());
  std::vector<int64_t> shape(static_cast<size_t>(like.dim()), 1);
  shape[0] = like.size(0);
  const at::Tensor abar = alphas_cumprod.on(timesteps.device())
                              .index_select(0, timesteps)
                              .view(shape)
                              .to(like.device());
  return {abar.sqrt(), (1 - abar).sqrt()};
}

at::Tensor make_alphas_cumprod(const NoiseScheduleConfig& config) {
  const int64_t steps = config.num_train_timesteps;
  at::Tensor betas;
  if (config.beta_schedule == "linear") {
    betas = at::linspace(config.beta_start, config.beta_end, steps, at::kFloat);
  } else if (config.beta_schedule == "scaled_linear") {
    const at::Tensor root =
        at::linspace(std::sqrt(config.beta_start), std::sqrt(config.beta_end), steps, at::kFloat);
    betas = at::pow(root, 2);
  } else {
    throw InputError("noise schedule: beta_schedule is '" + config.beta_schedule +
                     "': expected linear or scaled_linear");
  }
  if (config.rescale_betas_zero_snr) betas = with_zero_terminal_snr(betas);
  return at::cumprod(1 - betas, 0);
}

}  // namespace

NoiseScheduleConfig NoiseScheduleConfig::from_json(const std::filesystem::path& path) {
  ModelConfigFile file(path);
  // What a file leaves out has diffusers' default, which is not Stable Diffusion's.
  NoiseScheduleConfig config;
  file.require("_class_name",
               {"DDIMScheduler",
                "DDPMScheduler",
                "PNDMScheduler",
                "LMSDiscreteScheduler",
                "EulerDiscreteScheduler",
                "EulerAncestralDiscreteScheduler",
                "HeunDiscreteScheduler",
                "DPMSolverMultistepScheduler",
                "DPMSolverSinglestepScheduler",
                "UniPCMultistepScheduler"});
  config.num_train_timesteps = file.integer("num_train_timesteps", 1000, {1, 1'000'000});
  config.beta_start = file.number("beta_start", 0.0001, {1e-12, 0.999});
  config.beta_end = file.number("beta_end", 0.02, {1e-12, 0.999});
  config.beta_schedule = file.text("beta_schedule", "linear");
  if (config.beta_schedule != "linear" && config.beta_schedule != "scaled_linear") {
    file.reject("beta_schedule", "linear or scaled_linear");
  }
  const std::string prediction = file.text("prediction_type", "epsilon");
  if (prediction == "epsilon") {
    config.prediction_type = PredictionType::kEpsilon;
  } else if (prediction == "v_prediction") {
    config.prediction_type = PredictionType::kVPrediction;
  } else {
    file.reject("prediction_type", "epsilon or v_prediction");
  }
  config.rescale_betas_zero_snr = file.boolean("rescale_betas_zero_snr", false);
  config.set_alpha_to_one = file.boolean("set_alpha_to_one", true);
  config.steps_offset = file.integer("steps_offset", 0, {0, 1000});
  config.timestep_spacing = file.text("timestep_spacing", "leading");
  if (config.timestep_spacing != "leading" && config.timestep_spacing != "trailing" &&
      config.timestep_spacing != "linspace") {
    file.reject("timestep_spacing", "leading, trailing or linspace");
  }
  file.require("trained_betas", {nullptr});
  file.require("clip_sample", {false});
  file.require("thresholding", {false});
  // Every other key steers a sampler, and limewash brings its own.
  return config;
}

NoiseSchedule::NoiseSchedule(NoiseScheduleConfig config)
    : config_(std::move(config)), alphas_cumprod_(make_alphas_cumprod(config_)) {}

const NoiseScheduleConfig& NoiseSchedule::config() const {
  return config_;
}

const at::Tensor& NoiseSchedule::alphas_cumprod(at::Device device) const {
  return alphas_cumprod_.on(device);
}

at::Tensor NoiseSchedule::add_noise(const at::Tensor& z0,
                                    const at::Tensor& noise,
                                    const at::Tensor& timesteps) const {
  const auto [signal_scale, noise_scale] = coefficients(alphas_cumprod_, timesteps, z0);
  return signal_scale * z0 + noise_scale * noise;
}

at::Tensor NoiseSchedule::training_target(const at::Tensor& z0,
                                          const at::Tensor& noise,
                                          const at::Tensor& timesteps) const {
  if (config_.prediction_type == PredictionType::kEpsilon) return noise;
  const auto [signal_scale, noise_scale] = coefficients(alphas_cumprod_, timesteps, z0);
  return signal_scale * noise - noise_scale * z0;
}

at::Tensor NoiseSchedule::predict_z0(const at::Tensor& z_t,
                                     const at::Tensor& output,
                                     const at::Tensor& timesteps) const {
  const auto [signal_scale, noise_scale] = coefficients(alphas_cumprod_, timesteps, z_t);
  if (config_.prediction_type == PredictionType::kVPrediction) {
    return signal_scale * z_t - noise_scale * output;
  }
  // At abar = 0 the noise says nothing about z_0; keep the quotient finite.
  constexpr double kSmallestSignal = 1e-4;
  return (z_t - noise_scale * output) / signal_scale.clamp_min(kSmallestSignal);
}

at::Tensor NoiseSchedule::predict_noise(const at::Tensor& z_t,
                                        const at::Tensor& output,
                                        const at::Tensor& timesteps) const {
  if (config_.prediction_type == PredictionType::kEpsilon) return output;
  const auto [signal_scale, noise_scale] = coefficients(alphas_cumprod_, timesteps, z_t);
  return signal_scale * output + noise_scale * z_t;
}

std::vector<int64_t> NoiseSchedule::inference_timesteps(int64_t steps) const {
  const int64_t total = config_.num_train_timesteps;
  TORCH_CHECK(
      steps >= 1 && steps <= total, "sampler steps: expected 1 to ", total, ", got ", steps);
  std::vector<int64_t> timesteps;
  if (config_.timestep_spacing == "leading") {
    const int64_t ratio = total / steps;
    for (int64_t i = steps - 1; i >= 0; --i) timesteps.push_back(i * ratio + config_.steps_offset);
  } else if (config_.timestep_spacing == "trailing") {
    const double ratio = static_cast<double>(total) / static_cast<double>(steps);
    for (int64_t i = 0; i < steps; ++i) {
      const double position = static_cast<double>(total) - static_cast<double>(i) * ratio;
      timesteps.push_back(static_cast<int64_t>(std::nearbyint(position)) - 1);
    }
  } else {
    const double gap =
        steps > 1 ? static_cast<double>(total - 1) / static_cast<double>(steps - 1) : 0;
    for (int64_t i = steps - 1; i >= 0; --i) {
      timesteps.push_back(static_cast<int64_t>(std::nearbyint(static_cast<double>(i) * gap)));
    }
  }
  // diffusers runs off its table when the offset meets as many steps as there are timesteps.
  for (int64_t& timestep : timesteps)
    timestep = std::min(std::max<int64_t>(timestep, 0), total - 1);
  return timesteps;
}

}  // namespace limewash::models
