#include "trainer/objective.h"

#include <torch/torch.h>

namespace limewash::trainer {

at::Tensor differentiable_rgb_to_lab(const at::Tensor& rgb) {
  // Both curves are continued beyond the gamut rather than clamped: a clamp would stop the gradient
  // that brings a colour back in. The inner clamps keep the branch that is not taken finite.
  const auto linear = torch::where(
      rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0.04045) + 0.055) / 1.055).pow(2.4));
  static const std::vector<float> kToXyz = {
      // Rows X, Y, Z over the D65 white point; columns R, G, B.
      0.412453F / 0.95047F,
      0.357580F / 0.95047F,
      0.180423F / 0.95047F,
      0.212671F,
      0.715160F,
      0.072169F,
      0.019334F / 1.08883F,
      0.119193F / 1.08883F,
      0.950227F / 1.08883F};
  const auto matrix = torch::tensor(kToXyz, rgb.options()).view({3, 3});
  const auto xyz = torch::matmul(linear, matrix.t());
  const auto f = torch::where(
      xyz > 0.008856, xyz.clamp_min(0.008856).pow(1.0 / 3.0), 7.787 * xyz + 16.0 / 116.0);
  const auto fx = f.select(-1, 0), fy = f.select(-1, 1), fz = f.select(-1, 2);
  return torch::stack({116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)}, -1);
}

Objective::Objective(const LossOptions& options,
                     const models::NoiseSchedule& schedule,
                     const std::vector<float>& latent_to_rgb)
    : options_(options), schedule_(schedule) {
  const auto channels = static_cast<int64_t>(latent_to_rgb.size() / 3) - 1;
  const auto map = torch::tensor(latent_to_rgb).view({channels + 1, 3});
  rgb_weight_ = map.narrow(0, 0, channels);
  rgb_bias_ = map.select(0, channels);
}

bool Objective::counts_color(const StreamSample& sample, int64_t step) const {
  // A sample without its reference was not told the colour.
  return options_.color.weight > 0 && step >= options_.color.start_step && !sample.drop_reference &&
         sample.timestep >= options_.color.timestep_low &&
         sample.timestep < options_.color.timestep_high;
}

LossScale Objective::scale(const BatchSource& source,
                           const std::vector<StreamSample>& samples,
                           int64_t step) const {
  LossScale scale;
  scale.noise_weight = source.noise_weight_total(samples, options_.noise);
  for (const auto& sample : samples) {
    if (counts_color(sample, step) && source.has_core(sample)) scale.color_weight += sample.quality;
  }
  return scale;
}

at::Tensor Objective::region_lab(const at::Tensor& latents, const at::Tensor& core) const {
  const auto area = core.sum({2, 3});                                              // [N, 1]
  const auto mean = (latents * core).sum({2, 3}) / area.clamp_min(1e-6);           // [N, C]
  return differentiable_rgb_to_lab(torch::matmul(mean, rgb_weight_) + rgb_bias_);  // [N, 3]
}

LossTerms Objective::operator()(const MicroBatch& batch,
                                const std::vector<StreamSample>& samples,
                                int64_t first,
                                const at::Tensor& z_t,
                                const at::Tensor& output,
                                const LossScale& scale,
                                int64_t step) const {
  LossTerms terms;
  const auto target = schedule_.training_target(batch.z0, batch.noise, batch.timesteps);
  const auto pixel_weight =
      (batch.mask * options_.noise.inside + (1 - batch.mask) * options_.noise.outside) *
      batch.quality.view({-1, 1, 1, 1});
  const auto error = (output - target).square().mean(1, /*keepdim=*/true);  // [N, 1, h, w]
  const auto noise = (error * pixel_weight).sum() / std::max(scale.noise_weight, 1e-12);
  terms.total = noise;
  terms.noise = noise.detach();
  terms.color = torch::zeros({});
  if (scale.color_weight <= 0) return terms;

  auto counted = torch::zeros({batch.z0.size(0)});
  for (int64_t row = 0; row < counted.size(0); ++row) {
    counted[row] = counts_color(samples.at(static_cast<size_t>(first + row)), step) ? 1.0 : 0.0;
  }
  counted = counted * batch.quality * (batch.core.sum({1, 2, 3}) > 0).to(torch::kFloat);
  const auto predicted = region_lab(schedule_.predict_z0(z_t, output, batch.timesteps), batch.core);
  const auto anchor = options_.color.anchor == "target" ? region_lab(batch.z0, batch.core).detach()
                                                        : batch.asked_lab;
  // In units of 10 Lab each way, so that a weight of 0.1 weighs about as much as the noise loss.
  const auto distance = ((predicted - anchor) / 10.0).square().sum(1);  // [N]
  const auto color = (distance * counted).sum() / scale.color_weight;
  terms.color = color.detach();
  terms.total = terms.total + options_.color.weight * color;
  return terms;
}

}  // namespace limewash::trainer
