#pragma once
// A base model's VAE of either class, AutoencoderKL or AutoencoderTiny, by one interface.
// Shapes: N batch, C latent channels, H W pixels, h w latent size.

#include <cstdint>
#include <filesystem>
#include <memory>

#include <ATen/core/Tensor.h>

#include "models/autoencoder_kl.h"

namespace limewash::models {

/// Whether `folder`/config.json is of diffusers' class AutoencoderTiny. Every other class is left
/// to AutoencoderKL's reader, which says what it expects.
bool is_autoencoder_tiny(const std::filesystem::path& folder);

/// Latents are unscaled on both sides: those of AutoencoderTiny need no scaling.
class Autoencoder {
 public:
  virtual ~Autoencoder() = default;
  /// `pixels` [N, 3, H, W] in [-1, 1]. AutoencoderTiny has no distribution: its latents come as the
  /// mean, with a deviation of zero.
  virtual LatentDistribution encode(const at::Tensor& pixels) = 0;
  /// Latents [N, C, h, w] -> pixels [N, 3, H, W] in [-1, 1], not clamped.
  virtual at::Tensor decode(const at::Tensor& latents) = 0;
  virtual int64_t in_channels() const = 0;
  virtual int64_t latent_channels() const = 0;
  /// Pixels a side for one latent.
  virtual int64_t downscale() const = 0;
  /// What trained latents are multiplied by.
  virtual double scaling_factor() const = 0;
  virtual torch::nn::Module& module() = 0;
};

/// Reads `folder`/config.json and the weights beside it: frozen, in eval mode, in `type` on the
/// CPU.
std::shared_ptr<Autoencoder> load_autoencoder(const std::filesystem::path& folder,
                                              at::ScalarType type = at::kFloat);

}  // namespace limewash::models
