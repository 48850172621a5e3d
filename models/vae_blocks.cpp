#include "models/vae_blocks.h"

#include <string>

#include <torch/torch.h>

namespace limewash::models {

namespace {

constexpr double kNormEps = 1e-6;

ResnetBlock2D make_resnet(int64_t in_channels, int64_t out_channels, int64_t groups) {
  return ResnetBlock2D(ResnetBlock2DOptions{
      .in_channels = in_channels, .out_channels = out_channels, .groups = groups, .eps = kNormEps});
}

Conv2d make_conv(int64_t in_channels, int64_t out_channels) {
  return Conv2d(
      Conv2dOptions{.in_channels = in_channels, .out_channels = out_channels, .padding = 1});
}

/// Keys PARENT.LIST.0, PARENT.LIST.1, ... for typed children.
template <class Holder>
void register_list(torch::nn::Module& parent,
                   const std::string& list,
                   const std::vector<Holder>& children) {
  auto modules = parent.register_module(list, torch::nn::ModuleList());
  for (const auto& child : children) modules->push_back(child);
}

}  // namespace

VaeAttentionImpl::VaeAttentionImpl(int64_t channels, int64_t norm_num_groups) {
  group_norm_ = register_module("group_norm", GroupNorm(norm_num_groups, channels, kNormEps));
  to_q_ = register_module("to_q", LoraLinear(channels, channels));
  to_k_ = register_module("to_k", LoraLinear(channels, channels));
  to_v_ = register_module("to_v", LoraLinear(channels, channels));
  to_out_ = LoraLinear(channels, channels);
  register_list(*this, "to_out", std::vector<LoraLinear>{to_out_});
}

at::Tensor VaeAttentionImpl::forward(const at::Tensor& hidden_states) const {
  // [N, 1, H * W, C]: one head
  const at::Tensor tokens =
      group_norm_->forward(hidden_states).flatten(2).transpose(1, 2).unsqueeze(1);
  const at::Tensor attended = at::scaled_dot_product_attention(
      to_q_->forward(tokens), to_k_->forward(tokens), to_v_->forward(tokens));
  const at::Tensor output = to_out_->forward(attended).squeeze(1).transpose(1, 2);  // [N, C, H * W]
  return hidden_states + output.view_as(hidden_states);
}

VaeMidBlockImpl::VaeMidBlockImpl(int64_t channels, int64_t norm_num_groups, bool add_attention) {
  for (int i = 0; i < 2; ++i) resnets_.push_back(make_resnet(channels, channels, norm_num_groups));
  register_list(*this, "resnets", resnets_);
  if (add_attention) {
    attention_ = VaeAttention(channels, norm_num_groups);
    register_list(*this, "attentions", std::vector<VaeAttention>{attention_});
  }
}

at::Tensor VaeMidBlockImpl::forward(at::Tensor hidden_states) {
  hidden_states = resnets_[0]->forward(hidden_states);
  if (attention_) hidden_states = attention_->forward(hidden_states);
  return resnets_[1]->forward(hidden_states);
}

VaeBlockImpl::VaeBlockImpl(int64_t in_channels,
                           int64_t out_channels,
                           int64_t num_layers,
                           int64_t norm_num_groups,
                           Resample resample) {
  for (int64_t i = 0; i < num_layers; ++i) {
    resnets_.push_back(
        make_resnet(i == 0 ? in_channels : out_channels, out_channels, norm_num_groups));
  }
  register_list(*this, "resnets", resnets_);
  if (resample == Resample::kDown) {
    downsampler_ = Downsample2D(out_channels, /*padding=*/0);
    register_list(*this, "downsamplers", std::vector<Downsample2D>{downsampler_});
  } else if (resample == Resample::kUp) {
    upsampler_ = Upsample2D(out_channels);
    register_list(*this, "upsamplers", std::vector<Upsample2D>{upsampler_});
  }
}

at::Tensor VaeBlockImpl::forward(at::Tensor hidden_states) {
  for (auto& resnet : resnets_) hidden_states = resnet->forward(hidden_states);
  if (downsampler_) return downsampler_->forward(hidden_states);
  if (upsampler_) return upsampler_->forward(hidden_states);
  return hidden_states;
}

VaeEncoderImpl::VaeEncoderImpl(const VaeOptions& options) {
  const auto& channels = options.block_out_channels;
  conv_in_ = register_module("conv_in", make_conv(options.in_channels, channels.front()));
  for (size_t i = 0; i < channels.size(); ++i) {
    down_blocks_.emplace_back(VaeBlock(
        channels[i == 0 ? 0 : i - 1],
        channels[i],
        options.layers_per_block,
        options.norm_num_groups,
        i + 1 < channels.size() ? VaeBlockImpl::Resample::kDown : VaeBlockImpl::Resample::kNone));
  }
  register_list(*this, "down_blocks", down_blocks_);
  mid_block_ = register_module(
      "mid_block",
      VaeMidBlock(channels.back(), options.norm_num_groups, options.mid_block_add_attention));
  conv_norm_out_ = register_module("conv_norm_out",
                                   GroupNorm(options.norm_num_groups, channels.back(), kNormEps));
  conv_out_ = register_module("conv_out", make_conv(channels.back(), options.out_channels));
}

at::Tensor VaeEncoderImpl::forward(const at::Tensor& sample) {
  at::Tensor hidden_states = conv_in_->forward(sample);
  for (auto& block : down_blocks_) hidden_states = block->forward(hidden_states);
  hidden_states = mid_block_->forward(hidden_states);
  return conv_out_->forward(at::silu(conv_norm_out_->forward(hidden_states)));
}

VaeDecoderImpl::VaeDecoderImpl(const VaeOptions& options) {
  const auto& channels = options.block_out_channels;
  conv_in_ = register_module("conv_in", make_conv(options.in_channels, channels.back()));
  mid_block_ = register_module(
      "mid_block",
      VaeMidBlock(channels.back(), options.norm_num_groups, options.mid_block_add_attention));
  for (size_t i = channels.size(); i-- > 0;) {
    up_blocks_.emplace_back(
        VaeBlock(channels[i + 1 < channels.size() ? i + 1 : i],
                 channels[i],
                 options.layers_per_block + 1,
                 options.norm_num_groups,
                 i > 0 ? VaeBlockImpl::Resample::kUp : VaeBlockImpl::Resample::kNone));
  }
  register_list(*this, "up_blocks", up_blocks_);
  conv_norm_out_ = register_module("conv_norm_out",
                                   GroupNorm(options.norm_num_groups, channels.front(), kNormEps));
  conv_out_ = register_module("conv_out", make_conv(channels.front(), options.out_channels));
}

at::Tensor VaeDecoderImpl::forward(const at::Tensor& latents) {
  at::Tensor hidden_states = mid_block_->forward(conv_in_->forward(latents));
  for (auto& block : up_blocks_) hidden_states = block->forward(hidden_states);
  return conv_out_->forward(at::silu(conv_norm_out_->forward(hidden_states)));
}

}  // namespace limewash::models
