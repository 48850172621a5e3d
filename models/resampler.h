#pragma once
// The projection of IP-Adapter Plus: learned queries that read the image encoder's hidden states.
// Shapes: N batch, P hidden states of the encoder, E their width, Q queries, D width inside, O
// width of the tokens.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/lora_linear.h"
#include "models/normalization.h"

namespace limewash::models {

/// Sizes as in ip-adapter-plus_sd15, with the names of its Resampler.
struct ResamplerConfig {
  int64_t embedding_dim = 1280;  ///< E
  int64_t dim = 768;             ///< D
  int64_t output_dim = 768;      ///< O
  int64_t depth = 4;
  int64_t heads = 12;
  int64_t head_dim = 64;
  int64_t num_queries = 16;  ///< Q
  int64_t ff_mult = 4;
};

/// PerceiverAttention of IP-Adapter Plus (after Alayrac et al., "Flamingo", 2022): the queries
/// attend to the image and to themselves.
class PerceiverAttentionImpl : public torch::nn::Module {
 public:
  explicit PerceiverAttentionImpl(const ResamplerConfig& config);
  /// `image` [N, P, D] in the type to compute in, `latents` [N, Q, D] -> [N, Q, D] in that type.
  at::Tensor forward(const at::Tensor& image, const at::Tensor& latents) const;

 private:
  at::Tensor split_heads(const at::Tensor& projected) const;

  int64_t heads_;
  LayerNorm norm1_{nullptr}, norm2_{nullptr};
  LoraLinear to_q_{nullptr}, to_kv_{nullptr}, to_out_{nullptr};
};
TORCH_MODULE(PerceiverAttention);

/// Layer norm and two linear layers without bias around an exact GELU.
class ResamplerFeedForwardImpl : public torch::nn::Module {
 public:
  explicit ResamplerFeedForwardImpl(const ResamplerConfig& config);
  /// `latents` [N, Q, D] -> [N, Q, D], the linear layers in `type`.
  at::Tensor forward(const at::Tensor& latents, at::ScalarType type) const;

 private:
  LayerNorm norm_{nullptr};
  LoraLinear proj_in_{nullptr}, proj_out_{nullptr};
};
TORCH_MODULE(ResamplerFeedForward);

/// Resampler of IP-Adapter Plus; diffusers' IPAdapterPlusImageProjection computes the same. The
/// keys are those of the public file. The weights are fp32; the linear layers compute in the type
/// of their input, while residual sums, norms and softmax are fp32: the public weights lead to
/// values beyond 10^4, of which bf16 keeps two digits, and fp16 none once they pass 65504.
class ResamplerImpl : public torch::nn::Module {
 public:
  explicit ResamplerImpl(const ResamplerConfig& config);
  /// `hidden_states` [N, P, E] -> [N, Q, O] in fp32.
  at::Tensor forward(const at::Tensor& hidden_states) const;
  const ResamplerConfig& config() const;

 private:
  ResamplerConfig config_;
  at::Tensor latents_;  // [1, Q, D]
  LoraLinear proj_in_{nullptr}, proj_out_{nullptr};
  LayerNorm norm_out_{nullptr};
  std::vector<PerceiverAttention> attentions_;
  std::vector<ResamplerFeedForward> feed_forwards_;
};
TORCH_MODULE(Resampler);

}  // namespace limewash::models
