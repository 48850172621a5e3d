#pragma once
// The down, middle and up blocks of the UNet. One class serves diffusers' pairs with and without
// cross-attention (CrossAttnDownBlock2D / DownBlock2D, CrossAttnUpBlock2D / UpBlock2D).

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/resnet.h"
#include "models/transformer_2d.h"

namespace limewash::models {

/// What one block of the UNet is made of.
struct UNetBlockOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t prev_output_channel = 0;  ///< up blocks: channels that come from the block below
  int64_t temb_channels = 0;
  int64_t num_layers = 1;
  bool resample = false;  ///< ends with a downsampler or an upsampler
  int64_t downsample_padding = 1;
  double resnet_eps = 1e-5;
  int64_t resnet_groups = 32;
  double output_scale_factor = 1;
  bool has_cross_attention = false;
  int64_t num_attention_heads = 1;
  int64_t cross_attention_dim = 0;
  int64_t transformer_layers = 1;
  bool use_linear_projection = false;
};

/// What the blocks are conditioned on.
struct UNetConditioning {
  at::Tensor temb;                           ///< [N, E]
  at::Tensor encoder_hidden_states;          ///< [N, L, D]
  std::vector<at::Tensor> ip_hidden_states;  ///< [N, T, D] or undefined, by IP-Adapter
  /// Keep only the inputs of each layer for the backward pass (models/gradient_checkpointing.h).
  bool gradient_checkpointing = false;
};

class UNetDownBlockImpl : public torch::nn::Module {
 public:
  explicit UNetDownBlockImpl(const UNetBlockOptions& options);
  /// Appends each layer's output, and the downsampler's, to `residuals`.
  at::Tensor forward(at::Tensor hidden_states,
                     const UNetConditioning& conditioning,
                     std::vector<at::Tensor>& residuals);
  const std::vector<Transformer2DModel>& attentions() const;

 private:
  std::vector<ResnetBlock2D> resnets_;
  std::vector<Transformer2DModel> attentions_;
  Downsample2D downsampler_{nullptr};
};
TORCH_MODULE(UNetDownBlock);

/// diffusers' UNetMidBlock2DCrossAttn.
class UNetMidBlockImpl : public torch::nn::Module {
 public:
  explicit UNetMidBlockImpl(const UNetBlockOptions& options);
  at::Tensor forward(at::Tensor hidden_states, const UNetConditioning& conditioning);
  const std::vector<Transformer2DModel>& attentions() const;

 private:
  std::vector<ResnetBlock2D> resnets_;
  std::vector<Transformer2DModel> attentions_;
};
TORCH_MODULE(UNetMidBlock);

class UNetUpBlockImpl : public torch::nn::Module {
 public:
  explicit UNetUpBlockImpl(const UNetBlockOptions& options);
  /// Takes one residual a layer off the end of `residuals`. The upsampler enlarges to the size of
  /// the residual that is then last, so that sizes that are no multiple of 2 come back as they
  /// were.
  at::Tensor forward(at::Tensor hidden_states,
                     const UNetConditioning& conditioning,
                     std::vector<at::Tensor>& residuals);
  const std::vector<Transformer2DModel>& attentions() const;

 private:
  std::vector<ResnetBlock2D> resnets_;
  std::vector<Transformer2DModel> attentions_;
  Upsample2D upsampler_{nullptr};
};
TORCH_MODULE(UNetUpBlock);

}  // namespace limewash::models
