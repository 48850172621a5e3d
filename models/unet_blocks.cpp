#include "models/unet_blocks.h"

#include <functional>
#include <utility>

#include <torch/torch.h>

#include "models/gradient_checkpointing.h"

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

using LayerInputs = std::vector<at::Tensor>;

/// `layer` on {`inputs`..., temb, encoder_hidden_states, ip_hidden_states...}, checkpointed where
/// that is asked for.
at::Tensor run_layer(const UNetConditioning& conditioning,
                     LayerInputs inputs,
                     std::function<at::Tensor(const LayerInputs&)> layer) {
  inputs.push_back(conditioning.temb);
  inputs.push_back(conditioning.encoder_hidden_states);
  inputs.insert(
      inputs.end(), conditioning.ip_hidden_states.begin(), conditioning.ip_hidden_states.end());
  if (!conditioning.gradient_checkpointing) return layer(inputs);
  return checkpoint(std::move(layer), std::move(inputs));
}

/// `attention` on `hidden_states`; its context is `inputs[context]` and what follows.
at::Tensor attend(const Transformer2DModel& attention,
                  const at::Tensor& hidden_states,
                  const LayerInputs& inputs,
                  size_t context) {
  return attention->forward(
      hidden_states, inputs[context], at::TensorList(inputs).slice(context + 1));
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
    hidden_states = run_layer(conditioning, {hidden_states}, [this, i](const LayerInputs& inputs) {
      at::Tensor states = resnets_[i]->forward(inputs[0], inputs[1]);
      return attentions_.empty() ? states : attend(attentions_[i], states, inputs, 2);
    });
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
  hidden_states = run_layer(conditioning, {hidden_states}, [this](const LayerInputs& inputs) {
    return resnets_[0]->forward(inputs[0], inputs[1]);
  });
  for (size_t i = 0; i < attentions_.size(); ++i) {
    hidden_states = run_layer(conditioning, {hidden_states}, [this, i](const LayerInputs& inputs) {
      return resnets_[i + 1]->forward(attend(attentions_[i], inputs[0], inputs, 2), inputs[1]);
    });
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
    const auto layer = [this, i](const LayerInputs& inputs) {
      at::Tensor states = resnets_[i]->forward(at::cat({inputs[0], inputs[1]}, 1), inputs[2]);
      return attentions_.empty() ? states : attend(attentions_[i], states, inputs, 3);
    };
    hidden_states = run_layer(conditioning, {hidden_states, residuals.back()}, layer);
    residuals.pop_back();
  }
  if (!upsampler_) return hidden_states;
  const int64_t height = residuals.back().size(2), width = residuals.back().size(3);
  return run_layer(conditioning, {hidden_states}, [this, height, width](const LayerInputs& inputs) {
    return upsampler_->forward(inputs[0], height, width);
  });
}

const std::vector<Transformer2DModel>& UNetUpBlockImpl::attentions() const {
  return attentions_;
}

}  // namespace limewash::models
