#pragma once
// The part of the IP-Adapter that stands outside the UNet.

#include <cstdint>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/lora_linear.h"
#include "models/normalization.h"

namespace limewash::models {

/// Ye et al., "IP-Adapter", 2023: the base kind's ImageProjModel. One linear layer makes `tokens`
/// context tokens of an image embedding; a layer norm follows.
class ImageProjectionImpl : public torch::nn::Module {
 public:
  ImageProjectionImpl(int64_t image_embedding_size, int64_t cross_attention_dim, int64_t tokens);
  /// [N, E] -> [N, T, D]
  at::Tensor forward(const at::Tensor& image_embeds) const;

  LoraLinear proj{nullptr};
  LayerNorm norm{nullptr};

 private:
  int64_t tokens_, cross_attention_dim_;
};
TORCH_MODULE(ImageProjection);

}  // namespace limewash::models
