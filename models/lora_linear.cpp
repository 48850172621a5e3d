#include "models/lora_linear.h"

#include <utility>

#include <torch/torch.h>

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
  at::Tensor output = at::linear(input, as_matrix(weight), bias);
  if (!lora_enabled_) return output;
  // The scale goes where there are the fewest numbers: between A and B.
  const at::Tensor low_rank = at::linear(input, as_matrix(lora_a_)) * lora_scale_;
  return output + at::linear(low_rank, as_matrix(lora_b_));
}

void LoraLinearImpl::install_lora(at::Tensor a, at::Tensor b, double scale) {
  TORCH_CHECK(a.dim() == weight.dim() && b.dim() == weight.dim() && a.size(1) == in_features() &&
                  b.size(0) == out_features() && a.size(0) == b.size(1),
              "install_lora: A ",
              a.sizes(),
              " and B ",
              b.sizes(),
              " do not fit a weight of ",
              weight.sizes());
  lora_a_ = std::move(a);
  lora_b_ = std::move(b);
  lora_scale_ = scale;
  lora_enabled_ = true;
}

void LoraLinearImpl::remove_lora() {
  lora_a_ = lora_b_ = at::Tensor();
  lora_enabled_ = false;
}

void LoraLinearImpl::set_lora_enabled(bool enabled) {
  lora_enabled_ = enabled && lora_a_.defined();
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
