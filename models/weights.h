#pragma once
// From files to modules: strict, and the one place where keys of older layouts are renamed.

#include <functional>
#include <optional>
#include <string>

#include <torch/nn/module.h>

#include "models/weights_file.h"

namespace limewash::models {

/// A key of the file -> the module's name for it, or "" for a key that carries no weight.
using KeyAdapter = std::function<std::string(const std::string&)>;

/// Give every parameter of the module the tensor of the same name, and freeze the module in eval
/// mode. A tensor that has the parameter's type already is not copied: the parameter then lies in
/// the memory-mapped file, which is read as it is touched, and may still be written to. Others are
/// converted one after the other, each without a copy in between. Parameters keep their type, or
/// take `dtype` where one is given. Missing, surplus and wrongly shaped tensors are an InputError
/// naming file, key and both shapes.
void load_weights(torch::nn::Module& module,
                  const WeightsFiles& files,
                  const KeyAdapter& adapt_key = {},
                  std::optional<at::ScalarType> dtype = std::nullopt);

/// "[2, 3]"
std::string shape_text(at::IntArrayRef sizes);

/// transformers 4 wrote `text_model.` before the text encoder's keys and stored position ids; 5
/// does not.
std::string adapt_clip_text_key(const std::string& key);
std::string adapt_clip_vision_key(const std::string& key);
/// Files of diffusers 0.17 and before name the VAE's attention query, key, value, proj_attn.
std::string adapt_vae_key(const std::string& key);

}  // namespace limewash::models
