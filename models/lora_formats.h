#pragma once
// LoRA files of every layout in, the two layouts that other programs read without mistakes out.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <c10/core/ScalarType.h>

#include "models/lora_weights.h"

namespace limewash::models {

/// The layouts that limewash writes.
enum class LoraLayout {
  kPeft,  ///< unet.PATH.lora_A.weight with `lora_adapter_metadata`: diffusers, peft
  /// lora_unet_PATH.lora_down.weight with `.alpha`: ComfyUI, AUTOMATIC1111, diffusers. All modules
  /// have one alpha; where theirs is another, the difference is multiplied into B.
  kKohya
};

/// Read a LoRA of a UNet. Which layout it has is told by its names, never by the file's: peft's in
/// diffusers' files, peft's own (with adapter_config.json beside it), diffusers' `.lora.down`, and
/// kohya's, mixed if need be; safetensors or a `.bin` pickle; any floating point type, which the
/// tensors keep.
///
/// `module_paths` are the layers of the UNet that can take a LoRA: kohya's names do not say where
/// their dots were, and are looked up among them. Without any, such a file is an InputError.
///
/// Alpha is that of an `.alpha` tensor, else of the metadata, else the rank; a file of peft's names
/// that says nothing of alpha is warned of. Tensors of a text encoder are left out with a warning,
/// since limewash neither trains nor changes it; a file with nothing else is an InputError. So are
/// DoRA, LoHa, LoKr and their like, named; names that belong to no LoRA; shapes that do not fit
/// each other.
LoraWeights read_lora(const std::filesystem::path& path,
                      const std::vector<std::string>& module_paths = {});

struct LoraFileOptions {
  LoraLayout layout = LoraLayout::kPeft;
  at::ScalarType dtype = at::kFloat;  ///< kFloat, kHalf or kBFloat16
  /// Multiply the scale into B, so that alpha equals the rank for readers that ignore alpha.
  bool fold_alpha = false;
};

/// Write `weights` with its metadata, read the file back and compare. InputError when something
/// does not come back, and for weights that `dtype` cannot hold.
void write_lora(const std::filesystem::path& path,
                const LoraWeights& weights,
                const LoraFileOptions& options = {});

}  // namespace limewash::models
