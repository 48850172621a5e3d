#pragma once
// `limewash import`: a checkpoint in Stable Diffusion's original layout becomes a diffusers folder.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace limewash::models {

struct ImportOptions {
  std::filesystem::path checkpoint;  ///< .safetensors or .ckpt
  std::filesystem::path out;         ///< must not exist, or be an empty folder
  std::filesystem::path tokenizer;   ///< a folder to copy; empty: none
  std::string precision;             ///< fp16, bf16, fp32; empty: as stored
  std::string prediction;            ///< epsilon, v_prediction; empty: epsilon, for SD 1 only
  bool use_ema = false;              ///< the UNet's averaged weights

  /// Throws ConfigError naming option and value.
  void validate() const;
};

struct ImportReport {
  int64_t parameters = 0;
  int64_t in_channels = 0;
  std::string generation;  ///< "SD 1" or "SD 2"
  std::string prediction;
  std::vector<std::string> left_out;  ///< names of the checkpoint that belong to no network
};

/// Writes unet/, vae/, text_encoder/, scheduler/, model_index.json and, if given, tokenizer/ into a
/// temporary folder beside `out`, loads the networks from there and compares every tensor with the
/// checkpoint; then gives it the name `out`. Sizes come from the tensors' shapes. An image encoder
/// is in no such checkpoint. Throws InputError naming file and tensor.
ImportReport import_checkpoint(const ImportOptions& options);

}  // namespace limewash::models
