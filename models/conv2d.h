#pragma once
// A convolution that can carry a LoRA and whose weights are unset until they are loaded.
// (torch::nn::Conv2d draws random start values, which takes seconds at full size and advances the
// global generator.)

#include <cstdint>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/lora_layer.h"

namespace limewash::models {

struct Conv2dOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t padding = 0;
  bool bias = true;
};

/// A LoRA's A has the layer's kernel, stride and padding, and B is a convolution of size 1, as in
/// peft.
class Conv2dImpl : public torch::nn::Module, public LoraLayer {
 public:
  explicit Conv2dImpl(const Conv2dOptions& options);
  /// [N, Cin, H, W] -> [N, Cout, H', W']
  at::Tensor forward(const at::Tensor& input) const;

  const at::Tensor& lora_base_weight() const override;

  at::Tensor weight;  // [Cout, Cin, k, k], channels-last
  at::Tensor bias;    // [Cout] or undefined

 private:
  int64_t stride_, padding_;
};
TORCH_MODULE(Conv2d);

}  // namespace limewash::models
