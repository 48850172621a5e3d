#include "trainer/adamw.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <torch/torch.h>

namespace limewash::trainer {

double learning_rate_at(const OptimizerOptions& options, int64_t step, int64_t total_steps) {
  if (step < options.warmup_steps) {
    return options.learning_rate * static_cast<double>(step + 1) /
           static_cast<double>(options.warmup_steps);
  }
  if (options.schedule == "constant") return options.learning_rate;
  const double span = static_cast<double>(std::max<int64_t>(1, total_steps - options.warmup_steps));
  const double progress = std::min(1.0, static_cast<double>(step - options.warmup_steps) / span);
  if (options.schedule == "linear") return options.learning_rate * (1.0 - progress);
  return options.learning_rate * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
}

AdamW::AdamW(const OptimizerOptions& options, at::Tensor& values)
    : exp_avg(torch::zeros_like(values)),
      exp_avg_sq(torch::zeros_like(values)),
      options_(options),
      values_(values) {
  if (options.ema > 0) ema = values.clone();
}

double AdamW::step(at::Tensor gradients, double learning_rate) {
  torch::NoGradGuard no_grad;
  const double norm = gradients.norm().item<double>();
  if (!std::isfinite(norm)) return norm;
  if (options_.clip > 0 && norm > options_.clip) gradients.mul_(options_.clip / (norm + 1e-6));
  ++updates;
  std::vector<at::Tensor> parameters{values_}, grads{gradients}, first{exp_avg}, second{exp_avg_sq},
      largest;
  std::vector<at::Tensor> steps{torch::full({}, static_cast<double>(updates), torch::kFloat)};
  at::_fused_adamw_(parameters,
                    grads,
                    first,
                    second,
                    largest,
                    steps,
                    learning_rate,
                    options_.beta1,
                    options_.beta2,
                    options_.weight_decay,
                    1e-8,
                    /*amsgrad=*/false,
                    /*maximize=*/false);
  if (ema.defined()) {
    // A young average forgets its start faster, as diffusers' EMAModel warms up.
    const double updates_so_far = static_cast<double>(updates);
    const double decay = std::min(options_.ema, (1.0 + updates_so_far) / (10.0 + updates_so_far));
    ema.lerp_(values_, 1.0 - decay);
  }
  return norm;
}

const at::Tensor& AdamW::averaged() const {
  return ema.defined() ? ema : values_;
}

}  // namespace limewash::trainer
