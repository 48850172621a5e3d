#pragma once
// The UNet of Stable Diffusion 1.x and 2.x, 4 or 9 input channels, sized by its config.json.
// Shapes: N batch, C channels, H W latent size, L text tokens, T reference tokens, D context width.

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/conv2d.h"
#include "models/embeddings.h"
#include "models/unet_blocks.h"

namespace limewash::models {

/// `unet/config.json`, with diffusers' names. Lists hold one value a block, whatever the file
/// wrote.
struct UNetConfig {
  int64_t in_channels = 4;
  int64_t out_channels = 4;
  bool center_input_sample = false;
  bool flip_sin_to_cos = true;
  int64_t freq_shift = 0;
  std::vector<std::string> down_block_types;
  std::vector<std::string> up_block_types;
  std::vector<int64_t> block_out_channels;
  std::vector<int64_t> layers_per_block;
  std::vector<int64_t> transformer_layers_per_block;
  /// diffusers' `attention_head_dim`, which is the number of heads in this class.
  std::vector<int64_t> num_attention_heads;
  std::vector<int64_t> cross_attention_dim;
  int64_t downsample_padding = 1;
  double mid_block_scale_factor = 1;
  int64_t norm_num_groups = 32;
  double norm_eps = 1e-5;
  bool use_linear_projection = false;
  int64_t time_embedding_dim =
      0;  ///< never 0 once read: the default is 4 x the first block's width
  int64_t conv_in_kernel = 3;
  int64_t conv_out_kernel = 3;

  /// Throws InputError naming file and key for anything that this class would compute differently.
  static UNetConfig from_json(const std::filesystem::path& path);
};

/// Additional residuals of a ControlNet: one a skip connection, and one for the middle.
struct ControlResiduals {
  std::vector<at::Tensor> down_blocks;
  at::Tensor mid_block;
};

/// Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", 2022; equal to
/// diffusers' UNet2DConditionModel. Weights are unset until they are loaded.
class UNet2DConditionModelImpl : public torch::nn::Module {
 public:
  explicit UNet2DConditionModelImpl(UNetConfig config);

  /// `sample` [N, Cin, H, W], `timesteps` [N] int64, `encoder_hidden_states` [N, L, D] -> [N, Cout,
  /// H, W]. `ip_hidden_states`: one [N, T, D] for each installed IP-Adapter, in their order (a
  /// tensor alone is a list of one); undefined or left out means no reference. Computes in the type
  /// of its weights; the result has the type of `sample`.
  at::Tensor forward(const at::Tensor& sample,
                     const at::Tensor& timesteps,
                     const at::Tensor& encoder_hidden_states,
                     at::TensorList ip_hidden_states = {},
                     const ControlResiduals& control = {});

  /// Trade time for memory in the backward pass: the gradients stay the same. Off at first.
  void set_gradient_checkpointing(bool enabled);

  const UNetConfig& config() const;

  /// All attention modules with their paths, in the order of diffusers' `unet.attn_processors`:
  /// down, up, then mid; odd places are cross-attention. The N of the IP-Adapter file counts along
  /// it.
  std::vector<std::pair<std::string, Attention>> attentions() const;

 private:
  void check_inputs(const at::Tensor& sample,
                    const at::Tensor& timesteps,
                    const at::Tensor& encoder_hidden_states,
                    at::TensorList ip_hidden_states) const;

  UNetConfig config_;
  bool gradient_checkpointing_ = false;
  Conv2d conv_in_{nullptr};
  TimestepEmbedding time_embedding_{nullptr};
  std::vector<UNetDownBlock> down_blocks_;
  UNetMidBlock mid_block_{nullptr};
  std::vector<UNetUpBlock> up_blocks_;
  GroupNorm conv_norm_out_{nullptr};
  Conv2d conv_out_{nullptr};
};
TORCH_MODULE(UNet2DConditionModel);

/// Reads `folder`/config.json and the weights beside it: frozen, in eval mode, in `type` on the
/// CPU.
UNet2DConditionModel load_unet(const std::filesystem::path& folder,
                               at::ScalarType type = at::kFloat);

}  // namespace limewash::models
