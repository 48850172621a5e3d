#include "models/adapter_export.h"

#include <torch/torch.h>

#include "models/adapter_files.h"
#include "models/ip_adapter_file.h"
#include "models/lora.h"
#include "models/model_folder.h"
#include "models/precision.h"
#include "models/unet.h"
#include "models/verified_safetensors.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

/// The layers of the UNet that can take a LoRA; its weights are never read.
std::vector<std::string> module_paths_of(const std::filesystem::path& model) {
  if (model.empty()) return {};
  const auto config = folder_of_part(model, "unet") / "config.json";
  return lora_module_paths(UNet2DConditionModel(UNetConfig::from_json(config)));
}

void export_lora(const AdapterExportOptions& options, const std::filesystem::path& file) {
  const LoraFileOptions written{
      .layout = options.format == "kohya" ? LoraLayout::kKohya : LoraLayout::kPeft,
      .dtype = file_type(options.precision),
      .fold_alpha = options.fold_alpha};
  write_lora(options.out, read_lora(file, module_paths_of(options.model)), written);
}

void export_ip_adapter(const AdapterExportOptions& options, const std::filesystem::path& file) {
  const IpAdapterFile adapter = read_ip_adapter_file(file);
  const auto type = file_type(options.precision);
  TensorMap tensors;
  for (const auto& [name, tensor] : adapter.tensors) {
    tensors[name] = converted_for_file(tensor, type, options.out.string(), name);
  }
  auto metadata = adapter.metadata;
  metadata["format"] = "pt";
  write_verified_safetensors(options.out, tensors, metadata);
}

}  // namespace

AdapterExportReport export_adapter(const AdapterExportOptions& options) {
  const bool of_lora = options.format == "peft" || options.format == "kohya";
  if (!of_lora && options.format != "ip-adapter") {
    throw ConfigError("export: --format is '" + options.format +
                      "': expected peft, kohya or ip-adapter");
  }
  if (!of_lora && options.fold_alpha) {
    throw ConfigError("export: --fold-alpha is for a LoRA: expected --format peft or kohya");
  }
  const AdapterPaths files = locate_adapter(options.adapter);
  const auto& file = of_lora ? files.lora : files.ip_adapter;
  if (file.empty()) {
    throw InputError(options.adapter.string() + ": has no " + (of_lora ? "LoRA" : "IP-Adapter") +
                     " to export");
  }
  std::error_code error;
  if (std::filesystem::equivalent(file, options.out, error)) {
    throw ConfigError("export: --out is the adapter's own file: expected another");
  }
  if (options.out.has_parent_path()) {
    std::filesystem::create_directories(options.out.parent_path(), error);
    if (error) throw InputError(options.out.string() + ": can't create: " + error.message());
  }
  if (of_lora) {
    export_lora(options, file);
  } else {
    export_ip_adapter(options, file);
  }
  AdapterExportReport report;
  for (const auto& [name, tensor] : read_safetensors(options.out).tensors) {
    ++report.tensors;
    report.parameters += tensor.numel();
  }
  return report;
}

}  // namespace limewash::models
