#include "models/resampler.h"

#include <torch/torch.h>

#include "models/frozen_linear.h"

namespace limewash::models {

namespace {

/// The layer in the type of its input, whatever its weights are.
at::Tensor project(const LoraLinear& layer, const at::Tensor& input) {
  return trained_linear(input, layer->weight, layer->bias);
}

}  // namespace

PerceiverAttentionImpl::PerceiverAttentionImpl(const ResamplerConfig& config)
    : heads_(config.heads) {
  const int64_t inner = config.heads * config.head_dim;
  norm1_ = register_module("norm1", LayerNorm(config.dim));
  norm2_ = register_module("norm2", LayerNorm(config.dim));
  to_q_ = register_module("to_q", LoraLinear(config.dim, inner, /*with_bias=*/false));
  to_kv_ = register_module("to_kv", LoraLinear(config.dim, 2 * inner, /*with_bias=*/false));
  to_out_ = register_module("to_out", LoraLinear(inner, config.dim, /*with_bias=*/false));
}

at::Tensor PerceiverAttentionImpl::split_heads(const at::Tensor& projected) const {
  return projected.unflatten(-1, {heads_, -1}).transpose(1, 2).to(at::kFloat);
}

at::Tensor PerceiverAttentionImpl::forward(const at::Tensor& image,
                                           const at::Tensor& latents) const {
  const auto type = image.scalar_type();
  const at::Tensor queries = norm2_->forward(latents).to(type);
  const at::Tensor context =
      at::cat({norm1_->forward(image.to(at::kFloat)).to(type), queries}, 1);  // [N, P + Q, D]
  const auto key_value = project(to_kv_, context).chunk(2, -1);               // keys come first
  const at::Tensor attended = at::scaled_dot_product_attention(
      split_heads(project(to_q_, queries)), split_heads(key_value[0]), split_heads(key_value[1]));
  return project(to_out_, attended.transpose(1, 2).flatten(2).to(type));
}

ResamplerFeedForwardImpl::ResamplerFeedForwardImpl(const ResamplerConfig& config) {
  const int64_t inner = config.dim * config.ff_mult;
  norm_ = register_module("0", LayerNorm(config.dim));
  proj_in_ = register_module("1", LoraLinear(config.dim, inner, /*with_bias=*/false));
  // The activation is 2.
  proj_out_ = register_module("3", LoraLinear(inner, config.dim, /*with_bias=*/false));
}

at::Tensor ResamplerFeedForwardImpl::forward(const at::Tensor& latents, at::ScalarType type) const {
  return project(proj_out_, at::gelu(project(proj_in_, norm_->forward(latents).to(type))));
}

ResamplerImpl::ResamplerImpl(const ResamplerConfig& config) : config_(config) {
  for (const int64_t size : {config.embedding_dim,
                             config.dim,
                             config.output_dim,
                             config.depth,
                             config.heads,
                             config.head_dim,
                             config.num_queries,
                             config.ff_mult}) {
    TORCH_CHECK(size > 0, "Resampler: expected sizes above 0, got ", size);
  }
  latents_ = register_parameter("latents",
                                at::empty({1, config.num_queries, config.dim}),
                                /*requires_grad=*/false);
  proj_in_ = register_module("proj_in", LoraLinear(config.embedding_dim, config.dim));
  proj_out_ = register_module("proj_out", LoraLinear(config.dim, config.output_dim));
  norm_out_ = register_module("norm_out", LayerNorm(config.output_dim));
  auto layers = register_module("layers", torch::nn::ModuleList());
  for (int64_t i = 0; i < config.depth; ++i) {
    attentions_.emplace_back(config);
    feed_forwards_.emplace_back(config);
    auto layer = torch::nn::ModuleList();
    layer->push_back(attentions_.back());
    layer->push_back(feed_forwards_.back());
    layers->push_back(layer);
  }
}

at::Tensor ResamplerImpl::forward(const at::Tensor& hidden_states) const {
  TORCH_CHECK(hidden_states.dim() == 3 && hidden_states.size(1) > 0 &&
                  hidden_states.size(2) == config_.embedding_dim,
              "IP-Adapter penultimate_hidden_state: expected [N, P, ",
              config_.embedding_dim,
              "], got ",
              hidden_states.sizes());
  const auto type = hidden_states.scalar_type();
  const at::Tensor image = project(proj_in_, hidden_states);              // [N, P, D]
  at::Tensor latents = latents_.expand({hidden_states.size(0), -1, -1});  // [N, Q, D]
  for (size_t i = 0; i < attentions_.size(); ++i) {
    latents = attentions_[i]->forward(image, latents).to(at::kFloat) + latents;
    latents = feed_forwards_[i]->forward(latents, type).to(at::kFloat) + latents;
  }
  return norm_out_->forward(project(proj_out_, latents.to(type)).to(at::kFloat));
}

const ResamplerConfig& ResamplerImpl::config() const {
  return config_;
}

}  // namespace limewash::models
