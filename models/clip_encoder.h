#pragma once
// The transformer stack that both CLIP encoders share.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/lora_linear.h"
#include "models/normalization.h"

namespace limewash::models {

struct CLIPEncoderOptions {
  int64_t hidden_size = 512;
  int64_t intermediate_size = 2048;
  int64_t num_hidden_layers = 12;
  int64_t num_attention_heads = 8;
  double layer_norm_eps = 1e-5;
  std::string hidden_act = "quick_gelu";  ///< or "gelu"
};

/// transformers' CLIPEncoderLayer: attention and a two-layer MLP, each on a normalised input.
class CLIPEncoderLayerImpl : public torch::nn::Module {
 public:
  explicit CLIPEncoderLayerImpl(const CLIPEncoderOptions& options);
  /// [N, L, C] -> [N, L, C]; `causal` lets a token see only those before it.
  at::Tensor forward(const at::Tensor& hidden_states, bool causal) const;

 private:
  int64_t heads_;
  bool quick_gelu_;
  LayerNorm layer_norm1_{nullptr}, layer_norm2_{nullptr};
  LoraLinear q_proj_{nullptr}, k_proj_{nullptr}, v_proj_{nullptr}, out_proj_{nullptr};
  LoraLinear fc1_{nullptr}, fc2_{nullptr};
};
TORCH_MODULE(CLIPEncoderLayer);

class CLIPEncoderImpl : public torch::nn::Module {
 public:
  explicit CLIPEncoderImpl(const CLIPEncoderOptions& options);
  /// [N, L, C] -> the last layer's output; the input of the last layer goes to `penultimate` when
  /// given.
  at::Tensor forward(at::Tensor hidden_states,
                     bool causal,
                     at::Tensor* penultimate = nullptr) const;

 private:
  std::vector<CLIPEncoderLayer> layers_;
};
TORCH_MODULE(CLIPEncoder);

}  // namespace limewash::models
