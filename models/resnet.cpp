#include "models/resnet.h"

#include <torch/torch.h>

namespace limewash::models {

ResnetBlock2DImpl::ResnetBlock2DImpl(const ResnetBlock2DOptions& options)
    : output_scale_factor_(options.output_scale_factor) {
  const int64_t in = options.in_channels, out = options.out_channels;
  norm1_ = register_module("norm1", GroupNorm(options.groups, in, options.eps));
  conv1_ = register_module(
      "conv1", Conv2d(Conv2dOptions{.in_channels = in, .out_channels = out, .padding = 1}));
  if (options.temb_channels > 0) {
    time_emb_proj_ = register_module("time_emb_proj", LoraLinear(options.temb_channels, out));
  }
  norm2_ = register_module("norm2", GroupNorm(options.groups, out, options.eps));
  conv2_ = register_module(
      "conv2", Conv2d(Conv2dOptions{.in_channels = out, .out_channels = out, .padding = 1}));
  if (in != out) {
    conv_shortcut_ =
        register_module("conv_shortcut",
                        Conv2d(Conv2dOptions{.in_channels = in, .out_channels = out, .kernel = 1}));
  }
}

at::Tensor ResnetBlock2DImpl::forward(const at::Tensor& input, const at::Tensor& temb) {
  at::Tensor hidden_states = conv1_->forward(norm1_->forward_silu(input));
  if (time_emb_proj_) {
    hidden_states =
        hidden_states + time_emb_proj_->forward(at::silu(temb)).unsqueeze(2).unsqueeze(3);
  }
  // One after the other: what a step has read is given back before the next takes its own.
  hidden_states = norm2_->forward_silu(hidden_states);
  hidden_states = conv2_->forward(hidden_states);
  const at::Tensor output =
      (conv_shortcut_ ? conv_shortcut_->forward(input) : input) + hidden_states;
  return output_scale_factor_ == 1 ? output : output / output_scale_factor_;
}

Downsample2DImpl::Downsample2DImpl(int64_t channels, int64_t padding) : padding_(padding) {
  conv_ = register_module(
      "conv",
      Conv2d(Conv2dOptions{
          .in_channels = channels, .out_channels = channels, .stride = 2, .padding = padding}));
}

at::Tensor Downsample2DImpl::forward(const at::Tensor& input) {
  return conv_->forward(padding_ == 0 ? at::constant_pad_nd(input, {0, 1, 0, 1}) : input);
}

Upsample2DImpl::Upsample2DImpl(int64_t channels) {
  conv_ = register_module(
      "conv",
      Conv2d(Conv2dOptions{.in_channels = channels, .out_channels = channels, .padding = 1}));
}

at::Tensor Upsample2DImpl::forward(const at::Tensor& input) {
  return forward(input, 2 * input.size(2), 2 * input.size(3));
}

at::Tensor Upsample2DImpl::forward(const at::Tensor& input, int64_t height, int64_t width) {
  return conv_->forward(at::upsample_nearest2d(input, {height, width}));
}

}  // namespace limewash::models
