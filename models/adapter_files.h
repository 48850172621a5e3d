#pragma once
// The public file layouts of LoRA and IP-Adapter: names and metadata, and nothing of the training.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace limewash::models {

inline constexpr const char* kLoraFileName = "pytorch_lora_weights.safetensors";
inline constexpr const char* kIpAdapterFileName = "ip_adapter.safetensors";
/// Metadata of the IP-Adapter file: the scale it was trained with.
inline constexpr const char* kIpScaleKey = "ip_adapter_scale";
/// Metadata of the LoRA file: peft's configuration, as diffusers reads and writes it.
inline constexpr const char* kLoraMetadataKey = "lora_adapter_metadata";

/// unet.PATH.lora_A.weight and unet.PATH.lora_B.weight, as diffusers' save_lora_weights names them.
std::string lora_a_name(const std::string& module_path);
std::string lora_b_name(const std::string& module_path);
/// PATH out of unet.PATH.lora_A.weight; "" for any other name.
std::string module_of_lora_a(const std::string& name);

/// ip_adapter.N.to_k_ip.weight, N being the place in `unet.attn_processors`.
std::string ip_key_name(size_t place);
std::string ip_value_name(size_t place);

/// The JSON text of `lora_adapter_metadata`: the keys that every version of peft understands.
/// Without it diffusers takes alpha for the rank, without a word. Modules are named in full, so
/// that nothing else in a pipeline can match.
std::string lora_metadata_json(int64_t rank,
                               double alpha,
                               const std::vector<std::string>& module_paths);

/// The shortest decimal text that reads back to the same number.
std::string number_text(double value);

/// Alpha out of the metadata; without one, `rank`, as diffusers has it. Throws InputError for
/// variants of LoRA that the Adapter does not compute.
double lora_alpha_from_metadata(const std::map<std::string, std::string>& metadata,
                                int64_t rank,
                                const std::string& file);

}  // namespace limewash::models
