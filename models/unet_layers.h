#pragma once
// The UNet as a list of layers with their sizes: what estimates of memory and work add up.

#include <cstdint>
#include <vector>

#include "models/unet.h"

namespace limewash::models {

/// A residual block and the transformer behind it, the unit that gradient checkpointing repeats.
struct UNetLayer {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t pixels = 0;
  int64_t transformers = 0;  ///< transformer blocks; 0: none
  int64_t heads = 1;
  bool concatenates = false;  ///< joins a residual to its input first
};

/// All layers in the order of the forward pass, at that latent size.
std::vector<UNetLayer> unet_layers(const UNetConfig& config, int64_t height, int64_t width);

}  // namespace limewash::models
