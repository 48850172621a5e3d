#pragma once
// The VAE between pixels and latents. Shapes: N batch, C latent channels, H W pixels, h w latent
// size.

#include <cstdint>
#include <filesystem>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/conv2d.h"
#include "models/vae_blocks.h"

namespace limewash::models {

/// `vae/config.json`, with diffusers' names.
struct AutoencoderKLConfig {
  int64_t in_channels = 3;
  int64_t out_channels = 3;
  int64_t latent_channels = 4;
  std::vector<int64_t> block_out_channels;
  int64_t layers_per_block = 1;
  int64_t norm_num_groups = 32;
  double scaling_factor = 0.18215;
  bool mid_block_add_attention = true;
  bool use_quant_conv = true;
  bool use_post_quant_conv = true;

  /// Throws InputError naming file and key for anything that this class would compute differently.
  static AutoencoderKLConfig from_json(const std::filesystem::path& path);
  /// Pixels a side for one latent.
  int64_t downscale() const;
};

/// A diagonal normal distribution over latents, unscaled.
struct LatentDistribution {
  at::Tensor mean;  ///< [N, C, h, w]
  at::Tensor std;   ///< [N, C, h, w]
};

/// diffusers' AutoencoderKL. Weights are unset until they are loaded. Computes in the type of its
/// weights; results have the type of the input.
class AutoencoderKLImpl : public torch::nn::Module {
 public:
  explicit AutoencoderKLImpl(AutoencoderKLConfig config);
  /// `pixels` [N, 3, H, W] in [-1, 1], H and W multiples of `config().downscale()`.
  LatentDistribution encode(const at::Tensor& pixels);
  /// Unscaled latents [N, C, h, w] -> pixels [N, 3, H, W] in [-1, 1], not clamped.
  at::Tensor decode(const at::Tensor& latents);
  const AutoencoderKLConfig& config() const;

 private:
  at::ScalarType compute_type() const;

  AutoencoderKLConfig config_;
  VaeEncoder encoder_{nullptr};
  VaeDecoder decoder_{nullptr};
  Conv2d quant_conv_{nullptr}, post_quant_conv_{nullptr};
};
TORCH_MODULE(AutoencoderKL);

/// Reads `folder`/config.json and the weights beside it: frozen, in eval mode, in `type` on the
/// CPU.
AutoencoderKL load_autoencoder_kl(const std::filesystem::path& folder,
                                  at::ScalarType type = at::kFloat);

}  // namespace limewash::models
