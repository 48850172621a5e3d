#include "trainer/adamw.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <torch/torch.h>

namespace limewash::trainer {

AdamW::AdamW(const OptimizerOptions& options,
             const at::Tensor& values,
             std::vector<int64_t> segments)
    : AdamW(options,
            values,
            std::move(segments),
            values.is_cpu() ? Decision::kHost : Decision::kDevice) {}

AdamW::AdamW(const OptimizerOptions& options,
             const at::Tensor& values,
             std::vector<int64_t> segments,
             Decision decision)
    : exp_avg(torch::zeros_like(values)),
      exp_avg_sq(torch::zeros_like(values)),
      options_(options),
      values_(values),
      segments_(std::move(segments)),
      decision_(decision),
      updates_(torch::zeros({}, values.options())) {
  if (segments_.empty()) segments_ = {values.numel()};
  if (options.ema > 0) ema = values.clone();
}

at::Tensor AdamW::step(at::Tensor gradients, double learning_rate) {
  return step(std::move(gradients), std::vector<double>(segments_.size(), learning_rate));
}

at::Tensor AdamW::step(at::Tensor gradients, const std::vector<double>& learning_rates) {
  TORCH_CHECK(learning_rates.size() == segments_.size(),
              "AdamW: expected ",
              segments_.size(),
              " learning rates, got ",
              learning_rates.size());
  torch::NoGradGuard no_grad;
  const auto norm = gradients.norm();
  if (decision_ == Decision::kHost) {
    step_on_host(gradients, learning_rates, norm.item<double>());
  } else {
    step_on_device(gradients, learning_rates, norm);
  }
  return norm;
}

void AdamW::step_on_host(const at::Tensor& gradients,
                         const std::vector<double>& learning_rates,
                         double norm) {
  if (!std::isfinite(norm)) return;
  if (options_.clip > 0 && norm > options_.clip) gradients.mul_(options_.clip / (norm + 1e-6));
  updates_.add_(1);
  update(gradients, learning_rates, {});
  if (!ema.defined()) return;
  // A young average forgets its start faster, as diffusers' EMAModel warms up.
  const double so_far = updates_.item<double>();
  const double decay = std::min(options_.ema, (1.0 + so_far) / (10.0 + so_far));
  ema.lerp_(values_, 1.0 - decay);
}

void AdamW::step_on_device(const at::Tensor& gradients,
                           const std::vector<double>& learning_rates,
                           const at::Tensor& norm) {
  const auto taken = torch::isfinite(norm);
  if (options_.clip > 0) {
    const auto exact = norm.to(torch::kDouble);
    gradients.mul_(torch::where(exact > options_.clip, options_.clip / (exact + 1e-6), 1.0));
  }
  updates_.add_(taken);
  update(gradients, learning_rates, taken.logical_not().to(torch::kFloat));
  if (!ema.defined()) return;
  const auto so_far = updates_.to(torch::kDouble);
  const auto decay = ((1.0 + so_far) / (10.0 + so_far)).clamp_max(options_.ema);
  ema.lerp_(values_, ((1.0 - decay) * taken).to(torch::kFloat));
}

void AdamW::update(const at::Tensor& gradients,
                   const std::vector<double>& learning_rates,
                   const at::Tensor& skip) {
  std::vector<at::Tensor> largest;
  std::vector<at::Tensor> steps{updates_};
  int64_t begin = 0;
  for (size_t first = 0; first < segments_.size();) {
    size_t next = first;
    int64_t count = 0;
    for (; next < segments_.size() && learning_rates[next] == learning_rates[first]; ++next)
      count += segments_[next];
    const auto part = [&](const at::Tensor& whole) {
      return std::vector<at::Tensor>{whole.narrow(0, begin, count)};
    };
    auto parameters = part(values_), first_moment = part(exp_avg), second_moment = part(exp_avg_sq);
    at::_fused_adamw_(parameters,
                      part(gradients),
                      first_moment,
                      second_moment,
                      largest,
                      steps,
                      learning_rates[first],
                      options_.beta1,
                      options_.beta2,
                      options_.weight_decay,
                      1e-8,
                      /*amsgrad=*/false,
                      /*maximize=*/false,
                      /*grad_scale=*/std::nullopt,
                      skip.defined() ? std::optional<at::Tensor>(skip) : std::nullopt);
    begin += count;
    first = next;
  }
}

const at::Tensor& AdamW::averaged() const {
  return ema.defined() ? ema : values_;
}

int64_t AdamW::updates() const {
  return static_cast<int64_t>(updates_.item<double>());
}

void AdamW::set_updates(int64_t updates) {
  updates_.fill_(static_cast<double>(updates));
}

}  // namespace limewash::trainer
