#pragma once
// Convolutional blocks that UNet and VAE share.

#include <cstdint>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/conv2d.h"
#include "models/lora_linear.h"
#include "models/normalization.h"

namespace limewash::models {

struct ResnetBlock2DOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t temb_channels = 0;  ///< 0: no time embedding (the VAE)
  int64_t groups = 32;
  double eps = 1e-6;
  double output_scale_factor = 1;
};

/// diffusers' ResnetBlock2D with SiLU: norm, conv, time shift, norm, conv, shortcut.
class ResnetBlock2DImpl : public torch::nn::Module {
 public:
  explicit ResnetBlock2DImpl(const ResnetBlock2DOptions& options);
  /// `input` [N, Cin, H, W]; `temb` [N, E], undefined without a time embedding -> [N, Cout, H, W].
  at::Tensor forward(const at::Tensor& input, const at::Tensor& temb = {});

 private:
  double output_scale_factor_;
  GroupNorm norm1_{nullptr}, norm2_{nullptr};
  Conv2d conv1_{nullptr}, conv2_{nullptr}, conv_shortcut_{nullptr};
  LoraLinear time_emb_proj_{nullptr};
};
TORCH_MODULE(ResnetBlock2D);

/// diffusers' Downsample2D: a convolution of stride 2. Padding 0 means one zero row and column on
/// the far sides only, as in the VAE encoder.
class Downsample2DImpl : public torch::nn::Module {
 public:
  Downsample2DImpl(int64_t channels, int64_t padding);
  at::Tensor forward(const at::Tensor& input);

 private:
  int64_t padding_;
  Conv2d conv_{nullptr};
};
TORCH_MODULE(Downsample2D);

/// diffusers' Upsample2D: nearest neighbour to twice the size, or to `height` x `width`, and a
/// convolution.
class Upsample2DImpl : public torch::nn::Module {
 public:
  explicit Upsample2DImpl(int64_t channels);
  at::Tensor forward(const at::Tensor& input);
  at::Tensor forward(const at::Tensor& input, int64_t height, int64_t width);

 private:
  Conv2d conv_{nullptr};
};
TORCH_MODULE(Upsample2D);

}  // namespace limewash::models
