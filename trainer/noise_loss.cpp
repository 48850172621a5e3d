#include "trainer/noise_loss.h"

#include <cmath>

#include <torch/torch.h>

namespace limewash::trainer {

namespace {

/// abar of each timestep, [N].
at::Tensor alpha_bar(const models::NoiseSchedule& schedule, const at::Tensor& timesteps) {
  return schedule.alphas_cumprod(timesteps.device()).index_select(0, timesteps);
}

}  // namespace

at::Tensor huber_c(const NoiseLossOptions& options,
                   const models::NoiseSchedule& schedule,
                   const at::Tensor& timesteps) {
  if (options.huber_schedule == "exponential") {
    const double rate =
        -std::log(options.huber_c) / static_cast<double>(schedule.config().num_train_timesteps);
    return torch::exp(timesteps.to(torch::kFloat) * -rate);
  }
  if (options.huber_schedule == "snr") {
    const auto abar = alpha_bar(schedule, timesteps);
    const auto sigma = ((1 - abar) / abar).sqrt();
    return (1 - options.huber_c) / (1 + sigma).square() + options.huber_c;
  }
  return torch::full(
      {timesteps.size(0)}, options.huber_c, timesteps.options().dtype(torch::kFloat));
}

at::Tensor output_error(const NoiseLossOptions& options,
                        const models::NoiseSchedule& schedule,
                        const at::Tensor& output,
                        const at::Tensor& target,
                        const at::Tensor& timesteps) {
  const auto difference = output - target;
  if (options.kind == "mse") return difference.square().mean(1, /*keepdim=*/true);
  const auto c = huber_c(options, schedule, timesteps).view({-1, 1, 1, 1});
  const auto bent = 2 * ((difference.square() + c.square()).sqrt() - c);
  return (options.kind == "huber" ? c * bent : bent).mean(1, /*keepdim=*/true);
}

at::Tensor min_snr_weight(const models::NoiseSchedule& schedule,
                          const at::Tensor& timesteps,
                          double gamma) {
  const auto abar = alpha_bar(schedule, timesteps);
  const auto snr = abar / (1 - abar);
  if (schedule.config().prediction_type == models::PredictionType::kVPrediction) {
    return snr.clamp_max(gamma) / (snr + 1);
  }
  // gamma / 0 is infinite, and the quotient's limit is 1.
  return (gamma / snr).clamp_max(1.0);
}

void add_offset_noise(std::span<float> noise,
                      size_t values_of_channel,
                      double strength,
                      RandomStream stream) {
  for (size_t begin = 0; begin < noise.size(); begin += values_of_channel) {
    const auto offset = static_cast<float>(strength) * stream.normal();
    for (float& value : noise.subspan(begin, values_of_channel)) value += offset;
  }
}

}  // namespace limewash::trainer
