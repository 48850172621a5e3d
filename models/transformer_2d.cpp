#include "models/transformer_2d.h"

#include <torch/torch.h>

namespace limewash::models {

Transformer2DModelImpl::Transformer2DModelImpl(const Transformer2DOptions& options) {
  const int64_t head_dim = options.channels / options.num_attention_heads;
  const int64_t inner = options.num_attention_heads * head_dim;
  const LinearLayout layout =
      options.use_linear_projection ? LinearLayout::kLinear : LinearLayout::kConvolution1x1;
  norm_ = register_module("norm", GroupNorm(options.norm_num_groups, options.channels, 1e-6));
  proj_in_ = register_module("proj_in", LoraLinear(options.channels, inner, true, layout));
  auto blocks = register_module("transformer_blocks", torch::nn::ModuleList());
  for (int64_t i = 0; i < options.num_layers; ++i) {
    transformer_blocks_.emplace_back(BasicTransformerBlock(
        inner, options.num_attention_heads, head_dim, options.cross_attention_dim));
    blocks->push_back(transformer_blocks_.back());
  }
  proj_out_ = register_module("proj_out", LoraLinear(inner, options.channels, true, layout));
}

at::Tensor Transformer2DModelImpl::forward(const at::Tensor& hidden_states,
                                           const at::Tensor& encoder_hidden_states,
                                           at::TensorList ip_hidden_states) const {
  const int64_t height = hidden_states.size(2), width = hidden_states.size(3);
  // Dense, so that each linear layer is one matrix product with its bias fused.
  at::Tensor tokens =
      norm_->forward(hidden_states).flatten(2).transpose(1, 2).contiguous();  // [N, H * W, C]
  tokens = proj_in_->forward(tokens);
  for (const auto& block : transformer_blocks_) {
    tokens = block->forward(tokens, encoder_hidden_states, ip_hidden_states);
  }
  tokens = proj_out_->forward(tokens);
  // The residual first: the sum then takes its memory layout, not that of the transposed tokens.
  return hidden_states + tokens.transpose(1, 2).unflatten(2, {height, width});  // [N, C, H, W]
}

const std::vector<BasicTransformerBlock>& Transformer2DModelImpl::transformer_blocks() const {
  return transformer_blocks_;
}

}  // namespace limewash::models
