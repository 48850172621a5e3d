#include "models/original_layout.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <torch/torch.h>

#include "models/strict_json.h"
#include "models/weights.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

const std::string kUNetPrefix = "model.diffusion_model.";
const std::string kEmaPrefix = "model_ema.";
const std::string kVaePrefix = "first_stage_model.";
const std::string kClipPrefix = "cond_stage_model.transformer.";
const std::string kOpenClipPrefix = "cond_stage_model.model.";
// SD 2 conditions on the last layer but one of OpenCLIP ViT-H's 24, so its diffusers form has 23.
constexpr int64_t kOpenClipLayers = 23;

bool has_prefix(const TensorMap& tensors, const std::string& prefix) {
  const auto found = tensors.lower_bound(prefix);
  return found != tensors.end() && found->first.starts_with(prefix);
}

/// The part of each name after `prefix`.
TensorMap without_prefix(const TensorMap& tensors, const std::string& prefix) {
  TensorMap part;
  for (auto item = tensors.lower_bound(prefix);
       item != tensors.end() && item->first.starts_with(prefix);
       ++item) {
    part.emplace_hint(part.end(), item->first.substr(prefix.size()), item->second);
  }
  return part;
}

[[noreturn]] void refuse(const std::string& file, const std::string& name) {
  throw InputError(file + ": " + printable(name) +
                   " has no place in a Stable Diffusion 1 or 2 network");
}

void add(TensorMap& target,
         const std::string& name,
         const at::Tensor& tensor,
         const std::string& file) {
  if (!at::isFloatingType(tensor.scalar_type())) {
    throw InputError(file + ": " + printable(name) + " has the dtype " +
                     at::toString(tensor.scalar_type()) + ": expected floating point");
  }
  if (!target.emplace(name, tensor).second) {
    throw InputError(file + ": two tensors are both " + printable(name));
  }
}

/// The UNet's tensors, or the averaged ones, which are named without dots.
TensorMap unet_part(const TensorMap& tensors, bool use_ema, const std::string& file) {
  TensorMap part = without_prefix(tensors, kUNetPrefix);
  if (!use_ema) return part;
  for (auto& [name, tensor] : part) {
    std::string averaged = "diffusion_model" + name;
    averaged.erase(std::remove(averaged.begin(), averaged.end(), '.'), averaged.end());
    const auto found = tensors.find(kEmaPrefix + averaged);
    if (found == tensors.end()) {
      throw InputError(file + ": " + kEmaPrefix + printable(averaged) +
                       " is missing: the file has no averaged weights");
    }
    tensor = found->second;
  }
  return part;
}

/// Residual blocks in each block: the first change of size comes after all of the first block's.
int64_t layers_per_block(const TensorMap& part, const std::string& file) {
  constexpr int64_t kMostBlocks = 256;
  int64_t blocks = 0;
  for (int64_t number = 1; number < kMostBlocks; ++number, ++blocks) {
    const std::string block = "input_blocks." + std::to_string(number) + ".0.";
    if (part.contains(block + "op.weight")) break;
    if (!has_prefix(part, block)) break;
  }
  if (blocks < 1) throw InputError(file + ": " + kUNetPrefix + "input_blocks.1 is missing");
  return blocks;
}

TensorMap translate_unet(const TensorMap& part, const std::string& file) {
  const int64_t layers = layers_per_block(part, file);
  TensorMap unet;
  for (const auto& [name, tensor] : part) {
    const std::string translated = translate_unet_name(name, layers);
    if (translated.empty()) refuse(file, kUNetPrefix + name);
    add(unet, translated, tensor, file);
  }
  return unet;
}

TensorMap translate_vae(const TensorMap& part, const std::string& file) {
  int64_t levels = 0;
  while (has_prefix(part, "encoder.down." + std::to_string(levels) + ".")) ++levels;
  TensorMap vae;
  for (const auto& [name, tensor] : part) {
    // The discriminator and the averages of the VAE's own training.
    if (name.starts_with("loss.") || name.starts_with("model_ema.")) continue;
    const std::string translated = translate_vae_name(name, levels);
    if (translated.empty()) refuse(file, kVaePrefix + name);
    // The attention's 1 x 1 convolutions are linear layers in diffusers.
    const bool convolution = translated.find(".attentions.") != std::string::npos &&
                             tensor.dim() == 4 && tensor.size(2) == 1 && tensor.size(3) == 1;
    add(vae, translated, convolution ? tensor.flatten(1) : tensor, file);
  }
  return vae;
}

TensorMap translate_clip(const TensorMap& part, const std::string& file) {
  TensorMap encoder;
  for (const auto& [name, tensor] : part) {
    const std::string translated = adapt_clip_text_key(name);
    if (!translated.empty()) add(encoder, translated, tensor, file);
  }
  return encoder;
}

/// "transformer.resblocks.7.x" -> 7; -1 for other names.
int64_t open_clip_layer(const std::string& name) {
  constexpr std::string_view kBlocks = "transformer.resblocks.";
  if (!name.starts_with(kBlocks)) return -1;
  int64_t layer = 0;
  for (size_t i = kBlocks.size(); i < name.size() && name[i] >= '0' && name[i] <= '9'; ++i) {
    layer = std::min<int64_t>(layer * 10 + (name[i] - '0'), 1'000'000);
  }
  return layer;
}

TensorMap translate_open_clip(const TensorMap& part, const std::string& file) {
  TensorMap encoder;
  for (const auto& [name, tensor] : part) {
    // What only a comparison with pictures needs, and the layer that SD 2 does not use.
    if (name == "text_projection" || name == "logit_scale" || name == "attn_mask") continue;
    const int64_t layer = open_clip_layer(name);
    if (layer >= kOpenClipLayers) continue;
    const size_t joined = name.find(".attn.in_proj_");
    if (joined == std::string::npos) {
      const std::string translated = translate_open_clip_name(name);
      if (translated.empty()) refuse(file, kOpenClipPrefix + name);
      add(encoder, translated, tensor, file);
      continue;
    }
    const std::string kind = name.substr(joined + std::string_view(".attn.in_proj_").size());
    if (layer < 0 || (kind != "weight" && kind != "bias") || tensor.dim() < 1 ||
        tensor.size(0) % 3 != 0) {
      refuse(file, kOpenClipPrefix + name);
    }
    const auto thirds = tensor.chunk(3, 0);
    for (const size_t i : {0, 1, 2}) {
      static constexpr std::string_view kProjections[] = {"q_proj.", "k_proj.", "v_proj."};
      add(encoder,
          "text_model.encoder.layers." + std::to_string(layer) + ".self_attn." +
              std::string(kProjections[i]) + kind,
          thirds[i],
          file);
    }
  }
  return encoder;
}

}  // namespace

OriginalCheckpoint translate_original_layout(const TensorMap& tensors,
                                             bool use_ema,
                                             const std::string& file) {
  const bool clip = has_prefix(tensors, kClipPrefix);
  const bool open_clip = has_prefix(tensors, kOpenClipPrefix);
  std::string missing;
  if (!has_prefix(tensors, kUNetPrefix)) missing += " " + kUNetPrefix + "* (the UNet)";
  if (!has_prefix(tensors, kVaePrefix)) missing += " " + kVaePrefix + "* (the VAE)";
  if (!clip && !open_clip) {
    missing += " " + kClipPrefix + "* or " + kOpenClipPrefix + "* (the text encoder)";
  }
  if (!missing.empty()) {
    throw InputError(file + ": no Stable Diffusion 1 or 2 checkpoint in the original layout: no" +
                     missing);
  }
  if (clip && open_clip) throw InputError(file + ": it has the text encoders of SD 1 and of SD 2");

  OriginalCheckpoint checkpoint;
  checkpoint.generation = open_clip ? StableDiffusionGeneration::k2 : StableDiffusionGeneration::k1;
  checkpoint.unet = translate_unet(unet_part(tensors, use_ema, file), file);
  checkpoint.vae = translate_vae(without_prefix(tensors, kVaePrefix), file);
  checkpoint.text_encoder =
      open_clip ? translate_open_clip(without_prefix(tensors, kOpenClipPrefix), file)
                : translate_clip(without_prefix(tensors, kClipPrefix), file);
  for (const auto& [name, tensor] : tensors) {
    const bool used = name.starts_with(kUNetPrefix) || name.starts_with(kVaePrefix) ||
                      name.starts_with(kClipPrefix) || name.starts_with(kOpenClipPrefix);
    if (!used) checkpoint.left_out.push_back(name);
  }
  return checkpoint;
}

}  // namespace limewash::models
