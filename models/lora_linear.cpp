#include "models/lora_linear.h"

#include <utility>

#include <torch/torch.h>

#include "models/frozen_linear.h"

namespace limewash::models {

namespace {

/// [out, in, 1, 1] -> [out, in], as a view.
at::Tensor as_matrix(const at::Tensor& weight) {
  return weight.dim() == 2 ? weight : weight.view({weight.size(0), weight.size(1)});
}

}  // namespace

LoraLinearImpl::LoraLinearImpl(int64_t in_features,
                               int64_t out_features,
                               bool with_bias,
                               LinearLayout layout)
    : layout_(layout) {
  at::Tensor start = layout == LinearLayout::kLinear ? at::empty({out_features, in_features})
                                                     : at::empty({out_features, in_features, 1, 1});
  weight = register_parameter("weight", std::move(start), /*requires_grad=*/false);
  if (with_bias) bias = register_parameter("bias", at::empty({out_features}), false);
}

at::Tensor LoraLinearImpl::forward(const at::Tensor& input) const {
  const at::Tensor matrix = as_matrix(weight);
  if (!adds_lora()) return frozen_linear(input, matrix, bias);
  const at::Tensor a = as_matrix(lora().a), b = as_matrix(lora().b);
  const at::Tensor kept = lora_input(input);
  if (kept.is_same(input)) {
    return frozen_linear_with_lora(input, matrix, bias, a, b, lora().scale);
  }
  const auto type = input.scalar_type();
  const at::Tensor low_rank = at::linear(kept, a.to(type)) * lora().scale;
  return frozen_linear(input, matrix, bias) + at::linear(low_rank, b.to(type));
}

const at::Tensor& LoraLinearImpl::lora_base_weight() const {
  return weight;
}

int64_t LoraLinearImpl::in_features() const {
  return weight.size(1);
}

int64_t LoraLinearImpl::out_features() const {
  return weight.size(0);
}

LinearLayout LoraLinearImpl::layout() const {
  return layout_;
}

}  // namespace limewash::models
