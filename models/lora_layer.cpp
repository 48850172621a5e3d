#include "models/lora_layer.h"

#include <utility>

#include <torch/torch.h>

namespace limewash::models {

namespace {

/// B A in the shape of `weight`, fp32.
at::Tensor product_of(const LoraBranch& branch, const at::Tensor& weight) {
  const at::Tensor a = branch.a.detach().to(at::kFloat), b = branch.b.detach().to(at::kFloat);
  return at::matmul(b.flatten(1), a.flatten(1)).view(weight.sizes());
}

}  // namespace

void LoraLayer::install_lora(LoraBranch branch) {
  const at::Tensor& weight = lora_base_weight();
  const at::Tensor &a = branch.a, &b = branch.b;
  bool fits = a.dim() == weight.dim() && b.dim() == weight.dim() && b.size(0) == weight.size(0) &&
              a.size(0) == b.size(1);
  for (int64_t i = 1; fits && i < weight.dim(); ++i) fits = a.size(i) == weight.size(i);
  for (int64_t i = 2; fits && i < weight.dim(); ++i) fits = b.size(i) == 1;
  TORCH_CHECK(fits,
              "install_lora: A ",
              a.sizes(),
              " and B ",
              b.sizes(),
              " do not fit a weight of ",
              weight.sizes());
  remove_lora();
  branch_ = std::move(branch);
  enabled_ = true;
}

void LoraLayer::remove_lora() {
  unmerge_lora();
  branch_ = {};
  enabled_ = false;
}

void LoraLayer::set_lora_enabled(bool enabled) {
  enabled_ = enabled && branch_.a.defined();
  if (merged_weight_.defined()) show_merged(enabled_);
}

void LoraLayer::merge_lora() {
  TORCH_CHECK(branch_.a.defined(), "merge_lora: no LoRA is installed");
  if (merged_weight_.defined()) return;
  torch::NoGradGuard no_grad;
  at::Tensor weight = lora_base_weight();
  own_weight_ = weight.variable_data();
  merged_weight_ = (weight.to(at::kFloat) + product_of(branch_, weight) * branch_.scale)
                       .to(weight.scalar_type());
  show_merged(enabled_);
}

void LoraLayer::unmerge_lora() {
  if (!merged_weight_.defined()) return;
  show_merged(false);
  own_weight_ = merged_weight_ = at::Tensor();
}

bool LoraLayer::lora_merged() const {
  return merged_weight_.defined();
}

bool LoraLayer::lora_drops_out() const {
  return adds_lora() && branch_.dropout != nullptr;
}

void LoraLayer::show_merged(bool merged) {
  if (merged == shows_merged_) return;
  // The handle of the parameter stays; only its storage is another.
  at::Tensor weight = lora_base_weight();
  weight.set_data(merged ? merged_weight_ : own_weight_);
  shows_merged_ = merged;
}

bool LoraLayer::adds_lora() const {
  return enabled_ && !merged_weight_.defined();
}

const LoraBranch& LoraLayer::lora() const {
  return branch_;
}

at::Tensor LoraLayer::lora_input(const at::Tensor& input) const {
  return branch_.dropout ? branch_.dropout->apply(input, branch_.id) : input;
}

}  // namespace limewash::models
