#pragma once
// The distilled VAE of TAESD: small and fast, and its latents need no scaling.
// Shapes: N batch, C latent channels, H W pixels, h w latent size.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/conv2d.h"

namespace limewash::models {

/// `vae/config.json` of diffusers' AutoencoderTiny, with its names.
struct AutoencoderTinyConfig {
  int64_t in_channels = 3;
  int64_t out_channels = 3;
  int64_t latent_channels = 4;
  /// Widths, one a stage. All stages of one side have the same, or diffusers' network could not
  /// run.
  std::vector<int64_t> encoder_block_out_channels = {64, 64, 64, 64};
  std::vector<int64_t> decoder_block_out_channels = {64, 64, 64, 64};
  std::vector<int64_t> num_encoder_blocks = {1, 3, 3, 3};
  std::vector<int64_t> num_decoder_blocks = {3, 3, 3, 1};
  std::string act_fn = "relu";  ///< relu | silu | swish | gelu | mish
  int64_t upsampling_scaling_factor = 2;
  double latent_magnitude = 3;
  double latent_shift = 0.5;
  double scaling_factor = 1;

  /// Throws InputError naming file and key for anything that this class would compute differently.
  static AutoencoderTinyConfig from_json(const std::filesystem::path& path);
  /// Pixels a side for one latent.
  int64_t downscale() const;
};

/// diffusers' AutoencoderTinyBlock: three convolutions beside an identity, then ReLU.
class AutoencoderTinyBlockImpl : public torch::nn::Module {
 public:
  AutoencoderTinyBlockImpl(int64_t channels, const std::string& act_fn);
  /// [N, C, H, W] -> the same shape.
  at::Tensor forward(const at::Tensor& input) const;

 private:
  std::vector<Conv2d> convolutions_;
  at::Tensor (*activation_)(const at::Tensor&);
};
TORCH_MODULE(AutoencoderTinyBlock);

/// diffusers' AutoencoderTiny. Weights are unset until they are loaded. Computes in the type of its
/// weights; results have the type of the input.
class AutoencoderTinyImpl : public torch::nn::Module {
 public:
  explicit AutoencoderTinyImpl(AutoencoderTinyConfig config);
  /// `pixels` [N, 3, H, W] in [-1, 1] of any size -> latents [N, C, h, w]. Each stage halves the
  /// sides and rounds up.
  at::Tensor encode(const at::Tensor& pixels) const;
  /// Latents [N, C, h, w] -> pixels [N, 3, H, W] in [-1, 1], not clamped.
  at::Tensor decode(const at::Tensor& latents) const;
  /// Latents -> [0, 1], and back: how they are stored as bytes.
  at::Tensor scale_latents(const at::Tensor& latents) const;
  at::Tensor unscale_latents(const at::Tensor& scaled) const;
  const AutoencoderTinyConfig& config() const;

 private:
  /// One step of a side's `layers`.
  struct Layer {
    enum class Kind { kConvolution, kBlock, kActivation, kUpsample } kind;
    Conv2d convolution{nullptr};
    AutoencoderTinyBlock block{nullptr};
  };
  void build_encoder();
  void build_decoder();
  at::Tensor run(const std::vector<Layer>& layers, at::Tensor hidden_states) const;

  AutoencoderTinyConfig config_;
  at::Tensor (*activation_)(const at::Tensor&);
  std::vector<Layer> encoder_, decoder_;
};
TORCH_MODULE(AutoencoderTiny);

/// Reads `folder`/config.json and the weights beside it: frozen, in eval mode, in `type` on the
/// CPU.
AutoencoderTiny load_autoencoder_tiny(const std::filesystem::path& folder,
                                      at::ScalarType type = at::kFloat);

}  // namespace limewash::models
