#include "inference/ddim.h"

#include <cmath>

#include <torch/torch.h>

#include "runtime/heartbeat.h"
#include "runtime/stop_signal.h"

namespace limewash::inference {
namespace {

/// [1 or N, ...] -> [N, ...].
at::Tensor expand_batch(const at::Tensor& tensor, int64_t batch) {
  if (tensor.size(0) == batch) return tensor;
  TORCH_CHECK(tensor.size(0) == 1, "expected a batch of 1 or ", batch, ", got ", tensor.sizes());
  std::vector<int64_t> sizes = tensor.sizes().vec();
  sizes[0] = batch;
  return tensor.expand(sizes);
}

void check(const Condition& condition) {
  TORCH_CHECK(condition.noise.defined() && condition.noise.dim() == 4,
              "noise: expected [N, C, h, w]");
  const int64_t batch = condition.noise.size(0);
  const int64_t height = condition.noise.size(2), width = condition.noise.size(3);
  TORCH_CHECK(condition.mask.sizes() == (std::vector<int64_t>{batch, 1, height, width}),
              "mask: expected [",
              batch,
              ", 1, ",
              height,
              ", ",
              width,
              "], got ",
              condition.mask.sizes());
  TORCH_CHECK(condition.hole_latents.sizes() == condition.noise.sizes(),
              "hole_latents: expected ",
              condition.noise.sizes(),
              ", got ",
              condition.hole_latents.sizes());
}

}  // namespace

at::Tensor run_ddim(const Denoiser& denoiser,
                    const models::NoiseSchedule& schedule,
                    int64_t steps,
                    const at::Tensor& noise) {
  const torch::NoGradGuard no_gradients;
  const models::NoiseScheduleConfig& config = schedule.config();
  const at::Tensor alphas_cumprod = schedule.alphas_cumprod().to(torch::kCPU, torch::kFloat32);
  const float* abar = alphas_cumprod.const_data_ptr<float>();
  const int64_t stride = config.num_train_timesteps / steps;
  const float final_abar = config.set_alpha_to_one ? 1.0f : abar[0];

  at::Tensor z = noise;
  for (const int64_t timestep : schedule.inference_timesteps(steps)) {
    if (stop_requested()) return {};
    heartbeat();
    TORCH_CHECK(
        abar[timestep] > 0 || config.prediction_type == models::PredictionType::kVPrediction,
        "abar is 0 at timestep ",
        timestep,
        ": a network that predicts the noise says nothing about the picture there; use "
        "v-prediction");
    const at::Tensor output = denoiser(z, timestep);
    TORCH_CHECK(output.sizes() == z.sizes(),
                "the network's output: expected ",
                z.sizes(),
                ", got ",
                output.sizes());
    const at::Tensor timesteps =
        torch::full({z.size(0)}, timestep, torch::TensorOptions(torch::kLong).device(z.device()));
    const at::Tensor z0 = schedule.predict_z0(z, output, timesteps);
    const at::Tensor eps = schedule.predict_noise(z, output, timesteps);
    const int64_t previous = timestep - stride;
    const float previous_abar = previous >= 0 ? abar[previous] : final_abar;
    z = std::sqrt(previous_abar) * z0 + std::sqrt(1.0f - previous_abar) * eps;
  }
  return z;
}

at::Tensor sample_ddim(models::UNet2DConditionModel& unet,
                       const models::NoiseSchedule& schedule,
                       const SamplerOptions& options,
                       const Condition& condition) {
  const torch::NoGradGuard no_gradients;
  check(condition);
  const int64_t batch = condition.noise.size(0);
  const bool guided = options.guidance != 1.0 && condition.reference.defined();
  TORCH_CHECK(!guided || condition.dropped_reference.defined(),
              "guidance ",
              options.guidance,
              " needs a dropped reference");

  const at::Tensor text = expand_batch(condition.text, batch);
  at::Tensor reference = condition.reference;
  if (reference.defined()) reference = expand_batch(reference, batch);
  at::Tensor network_text = text, network_reference = reference;
  at::Tensor mask_and_hole = torch::cat({condition.mask, condition.hole_latents}, 1);
  if (guided) {
    const at::Tensor dropped = expand_batch(condition.dropped_reference, batch);
    network_reference = torch::cat({dropped, reference});
    network_text = torch::cat({text, text});
    mask_and_hole = torch::cat({mask_and_hole, mask_and_hole});
  }

  const Denoiser denoiser = [&](const at::Tensor& z_t, int64_t timestep) {
    const at::Tensor z = guided ? torch::cat({z_t, z_t}) : z_t;
    const at::Tensor sample = torch::cat({z, mask_and_hole}, 1);  // [N or 2 N, 2 C + 1, h, w]
    const at::Tensor timesteps = torch::full(
        {sample.size(0)}, timestep, torch::TensorOptions(torch::kLong).device(z.device()));
    const at::Tensor output = unet->forward(sample, timesteps, network_text, network_reference);
    if (!guided) return output;
    const std::vector<at::Tensor> halves = output.chunk(2);
    return halves[0] + options.guidance * (halves[1] - halves[0]);
  };
  return run_ddim(denoiser, schedule, options.steps, condition.noise);
}

}  // namespace limewash::inference
