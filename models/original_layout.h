#pragma once
// The layout of Stable Diffusion's original single-file checkpoints, and its translation into
// diffusers' and transformers' names.

#include <cstdint>
#include <string>
#include <vector>

#include "models/safetensors.h"

namespace limewash::models {

/// What the shapes of the UNet do not tell. 1: CLIP ViT-L's text encoder, eight heads everywhere.
/// 2: OpenCLIP ViT-H's, heads of 64 channels.
enum class StableDiffusionGeneration { k1, k2 };

/// The networks of one checkpoint under diffusers' names. The tensors are views of the given ones.
struct OriginalCheckpoint {
  StableDiffusionGeneration generation = StableDiffusionGeneration::k1;
  TensorMap unet, vae, text_encoder;
  std::vector<std::string> left_out;  ///< names that belong to none of the three
};

/// Translate all tensors of a checkpoint. `use_ema` takes the UNet's averaged weights
/// (model_ema.*). Throws InputError naming `file` and what is missing, or what stands among a
/// network's tensors and has no translation.
OriginalCheckpoint translate_original_layout(const TensorMap& tensors,
                                             bool use_ema,
                                             const std::string& file);

/// Names without the prefix that says which network they belong to; "" for a name without a
/// translation. `layers_per_block` residual blocks stand in each of the UNet's down blocks.
std::string translate_unet_name(const std::string& name, int64_t layers_per_block);
/// `levels` is the number of the VAE's blocks, which the decoder counts from the other end.
std::string translate_vae_name(const std::string& name, int64_t levels);
/// Without the query, key and value projections, which OpenCLIP keeps in one tensor.
std::string translate_open_clip_name(const std::string& name);

}  // namespace limewash::models
