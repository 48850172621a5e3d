#include "models/clip_encoder.h"

#include <utility>

#include <torch/torch.h>

namespace limewash::models {

CLIPEncoderLayerImpl::CLIPEncoderLayerImpl(const CLIPEncoderOptions& options)
    : heads_(options.num_attention_heads), quick_gelu_(options.hidden_act == "quick_gelu") {
  const int64_t size = options.hidden_size;
  TORCH_CHECK(size % heads_ == 0, "CLIP: ", heads_, " heads do not divide a hidden size of ", size);
  auto attention =
      register_module("self_attn", std::make_shared<torch::nn::Module>("CLIPAttention"));
  k_proj_ = attention->register_module("k_proj", LoraLinear(size, size));
  v_proj_ = attention->register_module("v_proj", LoraLinear(size, size));
  q_proj_ = attention->register_module("q_proj", LoraLinear(size, size));
  out_proj_ = attention->register_module("out_proj", LoraLinear(size, size));
  layer_norm1_ = register_module("layer_norm1", LayerNorm(size, options.layer_norm_eps));
  auto mlp = register_module("mlp", std::make_shared<torch::nn::Module>("CLIPMLP"));
  fc1_ = mlp->register_module("fc1", LoraLinear(size, options.intermediate_size));
  fc2_ = mlp->register_module("fc2", LoraLinear(options.intermediate_size, size));
  layer_norm2_ = register_module("layer_norm2", LayerNorm(size, options.layer_norm_eps));
}

at::Tensor CLIPEncoderLayerImpl::forward(const at::Tensor& hidden_states, bool causal) const {
  const auto split_heads = [this](const at::Tensor& projected) {
    return projected.unflatten(-1, {heads_, -1}).transpose(1, 2);  // [N, heads, L, head size]
  };
  const at::Tensor normed = layer_norm1_->forward(hidden_states);
  const at::Tensor attended =
      at::scaled_dot_product_attention(split_heads(q_proj_->forward(normed)),
                                       split_heads(k_proj_->forward(normed)),
                                       split_heads(v_proj_->forward(normed)),
                                       /*attn_mask=*/{},
                                       /*dropout_p=*/0.0,
                                       causal);
  const at::Tensor middle = hidden_states + out_proj_->forward(attended.transpose(1, 2).flatten(2));
  const at::Tensor inner = fc1_->forward(layer_norm2_->forward(middle));
  const at::Tensor active = quick_gelu_ ? inner * at::sigmoid(1.702 * inner) : at::gelu(inner);
  return middle + fc2_->forward(active);
}

CLIPEncoderImpl::CLIPEncoderImpl(const CLIPEncoderOptions& options) {
  auto layers = register_module("layers", torch::nn::ModuleList());
  for (int64_t i = 0; i < options.num_hidden_layers; ++i) {
    layers_.emplace_back(CLIPEncoderLayer(options));
    layers->push_back(layers_.back());
  }
}

at::Tensor CLIPEncoderImpl::forward(at::Tensor hidden_states,
                                    bool causal,
                                    at::Tensor* penultimate) const {
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (penultimate && i + 1 == layers_.size()) *penultimate = hidden_states;
    hidden_states = layers_[i]->forward(hidden_states, causal);
  }
  return hidden_states;
}

}  // namespace limewash::models
