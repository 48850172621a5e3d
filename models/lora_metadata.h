#pragma once
// peft's LoraConfig as JSON: `lora_adapter_metadata` in the header of diffusers' files, and
// adapter_config.json beside peft's own.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/lora_weights.h"
#include "models/module_pattern.h"

namespace limewash::models {

/// The part of a LoraConfig that the tensors do not say.
struct PeftLoraConfig {
  std::optional<double> lora_alpha;
  std::vector<std::pair<ModulePattern, double>> alpha_pattern;
  bool use_rslora = false;

  /// The first pattern that matches, else lora_alpha, else `rank`.
  double alpha_of(const std::string& module_path, int64_t rank) const;
};

/// Out of the JSON text `json`, keys with or without `unet.` before them. `where` stands for the
/// file and place in messages. Throws InputError for broken JSON, for values of the wrong type, and
/// for variants that limewash does not compute: DoRA, biases, and start values such as PiSSA that
/// change the base's weights.
PeftLoraConfig parse_peft_lora_config(const std::string& json, const std::string& where);

/// The text of `lora_adapter_metadata` for these weights: the keys that every version of peft
/// understands, `rank_pattern` and `alpha_pattern` for the modules that differ from most. Modules
/// are named in full, so that nothing else in a pipeline can match. Without this text diffusers
/// takes alpha for the rank, without a word.
std::string peft_lora_metadata(const LoraWeights& weights);

}  // namespace limewash::models
