#pragma once
// The names of tensors in LoRA files of every layout.

#include <optional>
#include <string>

namespace limewash::models {

enum class LoraPart { kA, kB, kAlpha };
enum class LoraNetwork { kUNet, kTextEncoder };

/// What the name of a tensor says.
struct LoraKey {
  LoraPart part = LoraPart::kA;
  LoraNetwork network = LoraNetwork::kUNet;
  /// The module's path; with `flattened`, the path with `_` for `.`, as kohya's trainer writes it.
  std::string module;
  bool flattened = false;
  std::string
      prefix;  ///< what stood before the path: "unet.", "base_model.model.", "lora_unet_", ""
};

/// Understands peft (`.lora_A.weight`, with `unet.`, `base_model.model.` or nothing before the
/// path), diffusers (`.lora.down.weight`, and `.processor.to_q_lora.down.weight` of old) and kohya
/// (`lora_unet_..._to_q.lora_down.weight`, `.alpha`). Nothing for any other name.
std::optional<LoraKey> parse_lora_key(const std::string& name);

/// The variant of LoRA that a name belongs to and that limewash does not compute ("DoRA", "LoHa",
/// ...), or "".
std::string unsupported_lora_variant(const std::string& name);

/// lora_unet_ and the path with `_` for `.`.
std::string kohya_module_name(const std::string& module_path);

}  // namespace limewash::models
