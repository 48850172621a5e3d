#include "models/adapter_files.h"

#include <array>

#include <nlohmann/json.hpp>

#include "models/ip_adapter_file.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

const std::string kLoraPrefix = "unet.";
const std::string kLoraASuffix = ".lora_A.weight";
const std::string kLoraBSuffix = ".lora_B.weight";

constexpr std::array<const char*, 4> kLoraFileNames = {
    kLoraFileName, "pytorch_lora_weights.bin", "adapter_model.safetensors", "adapter_model.bin"};
constexpr const char* kAdapterFolderOfRun = "adapter";

}  // namespace

std::string lora_a_name(const std::string& module_path) {
  return kLoraPrefix + module_path + kLoraASuffix;
}

std::string lora_b_name(const std::string& module_path) {
  return kLoraPrefix + module_path + kLoraBSuffix;
}

std::string ip_key_name(size_t place) {
  return "ip_adapter." + std::to_string(place) + ".to_k_ip.weight";
}

std::string ip_value_name(size_t place) {
  return "ip_adapter." + std::to_string(place) + ".to_v_ip.weight";
}

std::string number_text(double value) {
  return nlohmann::json(value).dump();
}

AdapterPaths locate_adapter(const std::filesystem::path& path) {
  if (std::filesystem::is_regular_file(path)) {
    if (is_ip_adapter_file(path)) return {{}, path};
    return {path, {}};
  }
  if (!std::filesystem::exists(path)) {
    throw InputError(path.string() + ": no adapter: there is no such file or folder");
  }
  AdapterPaths found;
  for (const char* name : kLoraFileNames) {
    if (found.lora.empty() && std::filesystem::exists(path / name)) found.lora = path / name;
  }
  if (std::filesystem::exists(path / kIpAdapterFileName)) {
    found.ip_adapter = path / kIpAdapterFileName;
  }
  if (!found.lora.empty() || !found.ip_adapter.empty()) return found;
  const auto of_run = path / kAdapterFolderOfRun;
  if (std::filesystem::is_directory(of_run)) return locate_adapter(of_run);
  throw InputError(path.string() + ": no adapter: expected " + kLoraFileName + " or " +
                   kIpAdapterFileName + " (or peft's adapter_model.safetensors)");
}

}  // namespace limewash::models
