#include "models/unet_blocks.h"

#include <utility>

#include <torch/torch.h>

namespace limewash::models {

namespace {

ResnetBlock2D make_resnet(const UNetBlockOptions& options, int64_t in_channels) {
  return ResnetBlock2D(ResnetBlock2DOptions{.in_channels = in_channels,
                                            .out_channels = options.out_channels,
                                            .temb_channels = options.temb_channels,
                                            .groups = options.resnet_groups,
                                            .eps = options.resnet_eps,
                                            .output_scale_factor = options.output_scale_factor});
}

Transformer2DModel make_transformer(const UNetBlockOptions& options) {
  return Transformer2DModel(
      Transformer2DOptions{.channels = options.out_channels,
                           .num_attention_heads = options.num_attention_heads,
                           .cross_attention_dim = options.cross_attention_dim,
                           .num_layers = options.transformer_layers,
                           .norm_num_groups = options.resnet_groups,
                           .use_linear_projection = options.use_linear_projection});
}

/// Keys PARENT.LIST.0, PARENT.LIST.1, ... for typed children.
template <class Holder>
void register_list(torch::nn::Module& parent,
                   const std::string& list,
                   const std::vector<Holder>& children) {
  if (children.empty()) return;
  auto modules = parent.register_module(list, torch::nn::ModuleList());
  for (const auto& child : children) modules->push_back(child);
}

}  // namespace

UNetDownBlockImpl::UNetDownBlockImpl(const UNetBlockOptions& options) {
  for (int64_t i = 0; i < options.num_layers; ++i) {
    resnets_.push_back(make_resnet(options, i == 0 ? options.in_channels : options.out_channels));
    if (options.has_cross_attention) attentions_.push_back(make_transformer(options));
  }
  register_list(*this, "attentions", attentions_);
  register_list(*this, "resnets", resnets_);
  if (options.resample) {
    downsampler_ = Downsample2D(options.out_channels, options.downsample_padding);
    register_list(*this, "downsamplers", std::vector<Downsample2D>{downsampler_});
  }
}

at::Tensor UNetDownBlockImpl::forward(at::Tensor hidden_states,
                                      const UNetConditioning& conditioning,
                                      std::vector<at::Tensor>& residuals) {
  for (size_t i = 0; i < resnets_.size(); ++i) {
    hidden_states = resnets_[i]->forward(hidden_states, conditioning.temb);
    if (!attentions_.empty()) {
      hidden_states = attentions_[i]->forward(
          hidden_states, conditioning.encoder_hidden_states, conditioning.ip_hidden_states);
    }
    residuals.push_back(hidden_states);
  }
  if (downsampler_) {
    hidden_states = downsampler_->forward(hidden_states);
    residuals.push_back(hidden_states);
  }
  return hidden_states;
}

const std::vector<Transformer2DModel>& UNetDownBlockImpl::attentions() const {
  return attentions_;
}

UNetMidBlockImpl::UNetMidBlockImpl(const UNetBlockOptions& options) {
  resnets_.push_back(make_resnet(options, options.in_channels));
  for (int64_t i = 0; i < options.num_layers; ++i) {
    attentions_.push_back(make_transformer(options));
    resnets_.push_back(make_resnet(options, options.out_channels));
  }
  register_list(*this, "attentions", attentions_);
  register_list(*this, "resnets", resnets_);
}

at::Tensor UNetMidBlockImpl::forward(at::Tensor hidden_states,
                                     const UNetConditioning& conditioning) {
  hidden_states = resnets_[0]->forward(hidden_states, conditioning.temb);
  for (size_t i = 0; i < attentions_.size(); ++i) {
    hidden_states = attentions_[i]->forward(
        hidden_states, conditioning.encoder_hidden_states, conditioning.ip_hidden_states);
    hidden_states = resnets_[i + 1]->forward(hidden_states, conditioning.temb);
  }
  return hidden_states;
}

const std::vector<Transformer2DModel>& UNetMidBlockImpl::attentions() const {
  return attentions_;
}

UNetUpBlockImpl::UNetUpBlockImpl(const UNetBlockOptions& options) {
  for (int64_t i = 0; i < options.num_layers; ++i) {
    const int64_t skip = i == options.num_layers - 1 ? options.in_channels : options.out_channels;
    const int64_t below = i == 0 ? options.prev_output_channel : options.out_channels;
    resnets_.push_back(make_resnet(options, below + skip));
    if (options.has_cross_attention) attentions_.push_back(make_transformer(options));
  }
  register_list(*this, "attentions", attentions_);
  register_list(*this, "resnets", resnets_);
  if (options.resample) {
    upsampler_ = Upsample2D(options.out_channels);
    register_list(*this, "upsamplers", std::vector<Upsample2D>{upsampler_});
  }
}

at::Tensor UNetUpBlockImpl::forward(at::Tensor hidden_states,
                                    const UNetConditioning& conditioning,
                                    std::vector<at::Tensor>& residuals) {
  for (size_t i = 0; i < resnets_.size(); ++i) {
    hidden_states = at::cat({hidden_states, residuals.back()}, 1);
    residuals.pop_back();
    hidden_states = resnets_[i]->forward(hidden_states, conditioning.temb);
    if (!attentions_.empty()) {
      hidden_states = attentions_[i]->forward(
          hidden_states, conditioning.encoder_hidden_states, conditioning.ip_hidden_states);
    }
  }
  if (upsampler_) {
    hidden_states =
        upsampler_->forward(hidden_states, residuals.back().size(2), residuals.back().size(3));
  }
  return hidden_states;
}

const std::vector<Transformer2DModel>& UNetUpBlockImpl::attentions() const {
  return attentions_;
}

}  // namespace limewash::models
