#include <cerrno>
#include <cmath>
#include <cstdlib>

#include <torch/torch.h>

#include "models/adapter.h"
#include "models/adapter_files.h"
#include "models/safetensors.h"
#include "models/strict_json.h"
#include "models/weights.h"
#include "runtime/error.h"

namespace limewash::models {

void LoraOptions::describe(config::Fields& fields) {
  fields.field("rank", rank, "rank of the LoRA; 0: none", {0, 4096});
  fields.field("alpha", alpha, "the LoRA is scaled by alpha / rank", {0, 1e6});
  fields.field("targets", targets, "ends of the module paths of the linear layers that get a LoRA");
}

void IpAdapterOptions::describe(config::Fields& fields) {
  fields.choice("kind", kind, {"none", "base"}, "how the reference enters the UNet");
  fields.field("tokens", tokens, "tokens that the reference becomes (diffusers reads 4)", {1, 256});
  fields.field("scale", scale, "weight of the attention over the reference", {0, 100});
}

void AdapterOptions::describe(config::Fields& fields) {
  fields.section("lora", lora);
  fields.section("ip_adapter", ip_adapter);
}

void AdapterOptions::validate() const {
  if (lora.rank == 0 && ip_adapter.kind == "none") {
    throw ConfigError(
        "adapter: lora.rank is 0 and ip_adapter.kind is none: there is nothing to train");
  }
  if (lora.rank < 0) {
    throw ConfigError("adapter.lora.rank is " + std::to_string(lora.rank) + ": expected 0 or more");
  }
  if (lora.rank > 0 && lora.targets.empty()) {
    throw ConfigError("adapter.lora.targets is empty: expected module names such as to_q");
  }
  if (lora.rank > 0 && !(std::isfinite(lora.alpha) && lora.alpha > 0)) {
    throw ConfigError("adapter.lora.alpha is " + std::to_string(lora.alpha) +
                      ": expected more than 0");
  }
  for (const auto& target : lora.targets) {
    if (target.empty() || target.front() == '.' || target.back() == '.') {
      throw ConfigError("adapter.lora.targets: '" + target + "' is no module name");
    }
  }
  if (ip_adapter.kind != "none" && ip_adapter.kind != "base") {
    throw ConfigError("adapter.ip_adapter.kind is '" + ip_adapter.kind +
                      "': expected none or base");
  }
  if (ip_adapter.tokens < 1) {
    throw ConfigError("adapter.ip_adapter.tokens is " + std::to_string(ip_adapter.tokens) +
                      ": expected 1 or more");
  }
}

namespace {

void inspect_lora(const std::filesystem::path& path, AdapterFiles& files) {
  const SafetensorsFile file = read_safetensors(path);
  LoraOptions& lora = files.options.lora;
  lora.rank = 0;
  lora.targets.clear();
  for (const auto& [name, tensor] : file.tensors) {
    const std::string module = module_of_lora_a(name);
    if (module.empty()) continue;
    const int64_t rank = tensor.dim() >= 2 ? tensor.size(0) : 0;
    if (rank < 1 || (lora.rank != 0 && rank != lora.rank)) {
      throw InputError(path.string() + ": " + printable(name) + " has the shape " +
                       shape_text(tensor.sizes()) +
                       ": expected [rank, in] with one rank for all modules");
    }
    lora.rank = rank;
    lora.targets.push_back(module);
  }
  if (lora.rank == 0) {
    throw InputError(path.string() + ": no tensor is named unet.MODULE.lora_A.weight");
  }
  lora.alpha = lora_alpha_from_metadata(file.metadata, lora.rank, path.string());
  files.metadata.insert(file.metadata.begin(), file.metadata.end());
}

void inspect_ip_adapter(const std::filesystem::path& path, AdapterFiles& files) {
  const SafetensorsFile file = read_safetensors(path);
  const auto proj = file.tensors.find("image_proj.proj.weight");
  const auto norm = file.tensors.find("image_proj.norm.weight");
  if (proj == file.tensors.end() || norm == file.tensors.end()) {
    throw InputError(
        path.string() +
        ": no image_proj.proj.weight and image_proj.norm.weight: only IP-Adapters of the base "
        "kind are read");
  }
  if (proj->second.dim() != 2 || norm->second.dim() != 1 || norm->second.size(0) < 1 ||
      proj->second.size(0) < norm->second.size(0) ||
      proj->second.size(0) % norm->second.size(0) != 0) {
    throw InputError(path.string() + ": image_proj.proj.weight has the shape " +
                     shape_text(proj->second.sizes()) + ", image_proj.norm.weight " +
                     shape_text(norm->second.sizes()) +
                     ": expected [tokens x width, size] and [width]");
  }
  files.options.ip_adapter.kind = "base";
  files.options.ip_adapter.tokens = proj->second.size(0) / norm->second.size(0);
  files.image_embedding_size = proj->second.size(1);
  const auto scale = file.metadata.find(kIpScaleKey);
  if (scale != file.metadata.end()) {
    char* end = nullptr;
    const double value = std::strtod(scale->second.c_str(), &end);
    if (scale->second.empty() || *end != '\0' || !std::isfinite(value)) {
      throw InputError(path.string() + ": " + kIpScaleKey + " is '" + printable(scale->second) +
                       "': expected a number");
    }
    files.options.ip_adapter.scale = value;
  }
  files.metadata.insert(file.metadata.begin(), file.metadata.end());
}

}  // namespace

AdapterFiles inspect_adapter(const std::filesystem::path& folder) {
  AdapterFiles files;
  files.options.lora.rank = 0;
  files.options.ip_adapter.kind = "none";
  const bool has_lora = std::filesystem::exists(folder / kLoraFileName);
  const bool has_ip_adapter = std::filesystem::exists(folder / kIpAdapterFileName);
  if (!has_lora && !has_ip_adapter) {
    throw InputError(folder.string() + ": no adapter: expected " + kLoraFileName + " or " +
                     kIpAdapterFileName);
  }
  if (has_lora) inspect_lora(folder / kLoraFileName, files);
  if (has_ip_adapter) inspect_ip_adapter(folder / kIpAdapterFileName, files);
  return files;
}

std::unique_ptr<Adapter> load_adapter(UNet2DConditionModel unet,
                                      const std::filesystem::path& folder) {
  const AdapterFiles files = inspect_adapter(folder);
  std::unique_ptr<Adapter> adapter;
  try {
    adapter = std::make_unique<Adapter>(
        std::move(unet), files.options, files.image_embedding_size, /*seed=*/0);
  } catch (const ConfigError& error) {
    throw InputError(folder.string() + ": the adapter does not fit this UNet: " + error.what());
  }
  adapter->load(folder);
  return adapter;
}

}  // namespace limewash::models
