#pragma once
// `limewash export`: an adapter's parts as the files that other programs read.

#include <cstdint>
#include <filesystem>
#include <string>

namespace limewash::models {

struct AdapterExportOptions {
  std::filesystem::path adapter;   ///< what locate_adapter takes
  std::filesystem::path out;       ///< the file to write
  std::string format = "peft";     ///< peft | kohya: the LoRA; ip-adapter: the IP-Adapter
  std::string precision = "fp32";  ///< fp32 | fp16 | bf16
  bool fold_alpha = false;         ///< multiply alpha / rank into B; LoRA only
  /// The UNet that a LoRA with kohya's names belongs to: a diffusers folder or that of the network.
  /// Other adapters need none.
  std::filesystem::path model;
};

struct AdapterExportReport {
  int64_t tensors = 0;
  int64_t parameters = 0;
};

/// Write the file, read it back and compare. Throws ConfigError for options that do not fit each
/// other, InputError when the adapter has no such part or a value does not fit the precision.
AdapterExportReport export_adapter(const AdapterExportOptions& options);

}  // namespace limewash::models
