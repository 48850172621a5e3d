#pragma once
// A linear layer that can carry a LoRA beside its frozen weight.

#include <cstdint>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/lora_layer.h"

namespace limewash::models {

/// How the weight stands in the file: [out, in], or [out, in, 1, 1] where the reference network has
/// a convolution of size 1. Both are applied to the last dimension of the input.
enum class LinearLayout { kLinear, kConvolution1x1 };

/// y = W x + b, and the branch of an installed LoRA, whose tensors have as many dimensions as W.
class LoraLinearImpl : public torch::nn::Module, public LoraLayer {
 public:
  LoraLinearImpl(int64_t in_features,
                 int64_t out_features,
                 bool with_bias = true,
                 LinearLayout layout = LinearLayout::kLinear);

  /// [..., in] -> [..., out]
  at::Tensor forward(const at::Tensor& input) const;

  const at::Tensor& lora_base_weight() const override;

  int64_t in_features() const;
  int64_t out_features() const;
  LinearLayout layout() const;

  at::Tensor weight;
  at::Tensor bias;  // [out] or undefined

 private:
  LinearLayout layout_;
};
TORCH_MODULE(LoraLinear);

}  // namespace limewash::models
