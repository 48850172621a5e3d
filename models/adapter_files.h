#pragma once
// The public file layouts of LoRA and IP-Adapter: where files lie, names and metadata, and nothing
// of the training.

#include <cstddef>
#include <filesystem>
#include <string>

namespace limewash::models {

inline constexpr const char* kLoraFileName = "pytorch_lora_weights.safetensors";
inline constexpr const char* kIpAdapterFileName = "ip_adapter.safetensors";
/// Metadata of the IP-Adapter file: the scale it was trained with.
inline constexpr const char* kIpScaleKey = "ip_adapter_scale";
/// Its kind (base, plus) and tokens, for people and programs; shapes tell limewash the same.
inline constexpr const char* kIpKindKey = "ip_adapter_kind";
inline constexpr const char* kIpTokensKey = "ip_adapter_tokens";
/// The Plus kind's width of a head, which no shape tells.
inline constexpr const char* kIpHeadDimKey = "ip_adapter_head_dim";
/// Metadata of the LoRA file: peft's configuration, as diffusers reads and writes it.
inline constexpr const char* kLoraMetadataKey = "lora_adapter_metadata";

/// unet.PATH.lora_A.weight and unet.PATH.lora_B.weight, as diffusers' save_lora_weights names them.
std::string lora_a_name(const std::string& module_path);
std::string lora_b_name(const std::string& module_path);

/// ip_adapter.N.to_k_ip.weight, N being the place in `unet.attn_processors`.
std::string ip_key_name(size_t place);
std::string ip_value_name(size_t place);

/// The files of an adapter; an empty path where it has no such part.
struct AdapterPaths {
  std::filesystem::path lora;
  std::filesystem::path ip_adapter;
};

/// `path`: a single file of either part, told apart by its tensors' names; a folder that
/// Adapter::save wrote; a folder of peft or diffusers (adapter_model or pytorch_lora_weights, as
/// `.safetensors` or `.bin`); a checkpoint; a run, which has them in `adapter/`. Throws InputError
/// naming what was looked for.
AdapterPaths locate_adapter(const std::filesystem::path& path);

/// The shortest decimal text that reads back to the same number.
std::string number_text(double value);

}  // namespace limewash::models
