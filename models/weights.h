#pragma once
// From files to modules: strict, and the one place where keys of older layouts are renamed.

#include <filesystem>
#include <functional>
#include <string>

#include <torch/nn/module.h>

namespace limewash::models {

/// A key of the file -> the module's name for it, or "" for a key that carries no weight.
using KeyAdapter = std::function<std::string(const std::string&)>;

/// `folder`/STEM.safetensors, else `folder`/STEM.fp16.safetensors. Throws InputError naming both.
std::filesystem::path find_weights(const std::filesystem::path& folder, const std::string& stem);

/// Copy every tensor of `file` into the module's parameter of the same name, converted to the
/// parameter's type, and freeze the module in eval mode. Missing, surplus and wrongly shaped
/// tensors are an InputError naming file, key and both shapes.
void load_weights(torch::nn::Module& module,
                  const std::filesystem::path& file,
                  const KeyAdapter& adapt_key = {});

/// "[2, 3]"
std::string shape_text(at::IntArrayRef sizes);

/// transformers 4 wrote `text_model.` before the text encoder's keys and stored position ids; 5
/// does not.
std::string adapt_clip_text_key(const std::string& key);
std::string adapt_clip_vision_key(const std::string& key);
/// Files of diffusers 0.17 and before name the VAE's attention query, key, value, proj_attn.
std::string adapt_vae_key(const std::string& key);

}  // namespace limewash::models
