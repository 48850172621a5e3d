#pragma once
// The timestep's way into the UNet.

#include <cstdint>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/lora_linear.h"

namespace limewash::models {

/// Sinusoidal embedding (Ho et al., "Denoising Diffusion Probabilistic Models", 2020; diffusers'
/// get_timestep_embedding): `timesteps` [N] of any number type -> [N, size] float32.
at::Tensor timestep_embedding(const at::Tensor& timesteps,
                              int64_t size,
                              bool flip_sin_to_cos,
                              double freq_shift);

/// diffusers' TimestepEmbedding with SiLU: [N, in] -> [N, out].
class TimestepEmbeddingImpl : public torch::nn::Module {
 public:
  TimestepEmbeddingImpl(int64_t in_channels, int64_t time_embed_dim);
  at::Tensor forward(const at::Tensor& sample) const;

 private:
  LoraLinear linear_1_{nullptr}, linear_2_{nullptr};
};
TORCH_MODULE(TimestepEmbedding);

}  // namespace limewash::models
