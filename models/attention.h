#pragma once
// Attention and feed-forward of the UNet's transformer blocks.
// Shapes: N batch, S image tokens (H * W), L text tokens, T reference tokens, C width, D context
// width.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/lora_linear.h"
#include "models/normalization.h"

namespace limewash::models {

/// Products of queries and keys (S * T) up to which, on a CPU without AMX in bfloat16, plain
/// products with a softmax between them are the fastest, forward and backward. Beyond it keeping
/// all of them would cost memory.
inline constexpr int64_t kPlainAttentionProducts = int64_t{1} << 19;

/// diffusers' Attention with AttnProcessor2_0, and IPAdapterAttnProcessor2_0 once IP-Adapters are
/// installed: for each of them attention over its reference's tokens, with the same queries, times
/// its scale, is added before `to_out`.
class AttentionImpl : public torch::nn::Module {
 public:
  /// `cross_attention_dim` 0: self-attention.
  AttentionImpl(int64_t query_dim, int64_t cross_attention_dim, int64_t heads, int64_t head_dim);

  /// `hidden_states` [N, S, C]; `encoder_hidden_states` [N, L, D], undefined for self-attention;
  /// `ip_hidden_states`: [N, T, D] for the IP-Adapter at each place, undefined or left out where it
  /// has no reference -> [N, S, C].
  at::Tensor forward(const at::Tensor& hidden_states,
                     const at::Tensor& encoder_hidden_states = {},
                     at::TensorList ip_hidden_states = {}) const;

  /// `to_k_ip`, `to_v_ip` [heads * head_dim, D]: the IP-Adapter's own tensors, read anew on each
  /// call. Returns its place among `ip_hidden_states`: the first free one.
  size_t add_ip_adapter(at::Tensor to_k_ip, at::Tensor to_v_ip, double scale);
  void remove_ip_adapter(size_t place);
  void set_ip_adapter_enabled(size_t place, bool enabled);
  /// Places taken, up to the last.
  size_t ip_adapter_count() const;

  LoraLinear to_q{nullptr}, to_k{nullptr}, to_v{nullptr}, to_out{nullptr};

 private:
  at::Tensor split_heads(const at::Tensor& projected) const;

  /// An IP-Adapter's part; a place that was left has no tensors.
  struct IpAttention {
    at::Tensor to_k, to_v;
    double scale = 1;
    bool enabled = true;
  };

  int64_t heads_;
  std::vector<IpAttention> ip_attentions_;
};
TORCH_MODULE(Attention);

/// diffusers' FeedForward with GEGLU (Shazeer, "GLU Variants Improve Transformer", 2020), exact
/// GELU.
class FeedForwardImpl : public torch::nn::Module {
 public:
  explicit FeedForwardImpl(int64_t dim, int64_t multiplier = 4);
  /// [N, S, C] -> [N, S, C]
  at::Tensor forward(const at::Tensor& hidden_states) const;

 private:
  LoraLinear proj_in_{nullptr}, proj_out_{nullptr};
};
TORCH_MODULE(FeedForward);

/// diffusers' BasicTransformerBlock: self-attention, cross-attention, feed-forward, each on a
/// layer-normalised input and added to it.
class BasicTransformerBlockImpl : public torch::nn::Module {
 public:
  BasicTransformerBlockImpl(int64_t dim,
                            int64_t heads,
                            int64_t head_dim,
                            int64_t cross_attention_dim);
  at::Tensor forward(at::Tensor hidden_states,
                     const at::Tensor& encoder_hidden_states,
                     at::TensorList ip_hidden_states) const;

  Attention attn1{nullptr}, attn2{nullptr};

 private:
  LayerNorm norm1_{nullptr}, norm2_{nullptr}, norm3_{nullptr};
  FeedForward ff_{nullptr};
};
TORCH_MODULE(BasicTransformerBlock);

}  // namespace limewash::models
