#pragma once
// Encoder and decoder of the VAE.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/conv2d.h"
#include "models/lora_linear.h"
#include "models/normalization.h"
#include "models/resnet.h"

namespace limewash::models {

struct VaeOptions {
  int64_t in_channels = 3;
  int64_t out_channels = 3;
  std::vector<int64_t> block_out_channels;
  int64_t layers_per_block = 1;
  int64_t norm_num_groups = 32;
  bool mid_block_add_attention = true;
};

/// One head of attention over all pixels, with group norm before and a residual after it.
class VaeAttentionImpl : public torch::nn::Module {
 public:
  VaeAttentionImpl(int64_t channels, int64_t norm_num_groups);
  /// [N, C, H, W] -> [N, C, H, W]
  at::Tensor forward(const at::Tensor& hidden_states) const;

 private:
  GroupNorm group_norm_{nullptr};
  LoraLinear to_q_{nullptr}, to_k_{nullptr}, to_v_{nullptr}, to_out_{nullptr};
};
TORCH_MODULE(VaeAttention);

/// diffusers' UNetMidBlock2D: residual block, attention, residual block.
class VaeMidBlockImpl : public torch::nn::Module {
 public:
  VaeMidBlockImpl(int64_t channels, int64_t norm_num_groups, bool add_attention);
  at::Tensor forward(at::Tensor hidden_states);

 private:
  std::vector<ResnetBlock2D> resnets_;
  VaeAttention attention_{nullptr};
};
TORCH_MODULE(VaeMidBlock);

/// diffusers' DownEncoderBlock2D and UpDecoderBlock2D: residual blocks, then a change of size or
/// none.
class VaeBlockImpl : public torch::nn::Module {
 public:
  enum class Resample { kNone, kDown, kUp };
  VaeBlockImpl(int64_t in_channels,
               int64_t out_channels,
               int64_t num_layers,
               int64_t norm_num_groups,
               Resample resample);
  at::Tensor forward(at::Tensor hidden_states);

 private:
  std::vector<ResnetBlock2D> resnets_;
  Downsample2D downsampler_{nullptr};
  Upsample2D upsampler_{nullptr};
};
TORCH_MODULE(VaeBlock);

/// Pixels [N, Cin, H, W] -> moments [N, Cout, h, w].
class VaeEncoderImpl : public torch::nn::Module {
 public:
  explicit VaeEncoderImpl(const VaeOptions& options);
  at::Tensor forward(const at::Tensor& sample);

 private:
  Conv2d conv_in_{nullptr}, conv_out_{nullptr};
  std::vector<VaeBlock> down_blocks_;
  VaeMidBlock mid_block_{nullptr};
  GroupNorm conv_norm_out_{nullptr};
};
TORCH_MODULE(VaeEncoder);

/// Latents [N, Cin, h, w] -> pixels [N, Cout, H, W].
class VaeDecoderImpl : public torch::nn::Module {
 public:
  explicit VaeDecoderImpl(const VaeOptions& options);
  at::Tensor forward(const at::Tensor& latents);

 private:
  Conv2d conv_in_{nullptr}, conv_out_{nullptr};
  std::vector<VaeBlock> up_blocks_;
  VaeMidBlock mid_block_{nullptr};
  GroupNorm conv_norm_out_{nullptr};
};
TORCH_MODULE(VaeDecoder);

}  // namespace limewash::models
