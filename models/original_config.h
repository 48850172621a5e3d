#pragma once
// The config.json files of a translated checkpoint, from the shapes of its tensors.

#include <string>

#include <nlohmann/json.hpp>

#include "models/original_layout.h"

namespace limewash::models {

/// Of diffusers' release whose layout is written.
inline constexpr const char* kDiffusersVersion = "0.42.1";

/// Each throws InputError naming `file` and the tensor when one is missing or of no fitting shape.
nlohmann::json unet_config(const OriginalCheckpoint& checkpoint, const std::string& file);
nlohmann::json vae_config(const OriginalCheckpoint& checkpoint, const std::string& file);
nlohmann::json text_encoder_config(const OriginalCheckpoint& checkpoint, const std::string& file);

/// The noise schedule of all Stable Diffusion 1 and 2 checkpoints; `prediction_type` is
/// "epsilon" or "v_prediction".
nlohmann::json scheduler_config(const std::string& prediction_type);

/// model_index.json: an inpainting pipeline when the UNet has nine channels.
nlohmann::json pipeline_index(bool inpainting, bool has_tokenizer);

}  // namespace limewash::models
