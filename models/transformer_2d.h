#pragma once
// The transformer over the pixels of a feature map.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/attention.h"
#include "models/lora_linear.h"
#include "models/normalization.h"

namespace limewash::models {

struct Transformer2DOptions {
  int64_t channels = 0;
  int64_t num_attention_heads = 1;
  int64_t cross_attention_dim = 0;
  int64_t num_layers = 1;
  int64_t norm_num_groups = 32;
  bool use_linear_projection = false;  ///< proj_in and proj_out stand as [out, in] in the file
};

/// diffusers' Transformer2DModel on continuous input. The inner width is heads * (channels /
/// heads), which is less than the channels when the heads do not divide them.
class Transformer2DModelImpl : public torch::nn::Module {
 public:
  explicit Transformer2DModelImpl(const Transformer2DOptions& options);
  /// `hidden_states` [N, C, H, W] -> [N, C, H, W]
  at::Tensor forward(const at::Tensor& hidden_states,
                     const at::Tensor& encoder_hidden_states,
                     at::TensorList ip_hidden_states) const;
  const std::vector<BasicTransformerBlock>& transformer_blocks() const;

 private:
  GroupNorm norm_{nullptr};
  LoraLinear proj_in_{nullptr}, proj_out_{nullptr};
  std::vector<BasicTransformerBlock> transformer_blocks_;
};
TORCH_MODULE(Transformer2DModel);

}  // namespace limewash::models
