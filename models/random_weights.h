#pragma once
// Networks without a file: for measuring, where the numbers do not matter but the sizes do.

#include <cstdint>

#include <c10/core/ScalarType.h>
#include <torch/nn/module.h>

#include "models/unet.h"

namespace limewash::models {

/// The sizes of Stable Diffusion 1.5's inpainting UNet.
UNetConfig stable_diffusion_inpainting_config();

/// Give each weight of two dimensions or more random values as torch.nn starts its layers (uniform
/// within 1 / sqrt(fan-in)); norms stay at 1 and 0, other biases become 0. A pure function of
/// `seed`. Everything is in `type`, frozen, and never held in another type meanwhile.
void set_random_weights(torch::nn::Module& module, c10::ScalarType type, uint64_t seed);

}  // namespace limewash::models
