#include "models/adapter_files.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

const std::string kLoraPrefix = "unet.";
const std::string kLoraASuffix = ".lora_A.weight";
const std::string kLoraBSuffix = ".lora_B.weight";

}  // namespace

std::string lora_a_name(const std::string& module_path) {
  return kLoraPrefix + module_path + kLoraASuffix;
}

std::string lora_b_name(const std::string& module_path) {
  return kLoraPrefix + module_path + kLoraBSuffix;
}

std::string module_of_lora_a(const std::string& name) {
  if (!name.starts_with(kLoraPrefix) || !name.ends_with(kLoraASuffix) ||
      name.size() <= kLoraPrefix.size() + kLoraASuffix.size()) {
    return "";
  }
  return name.substr(kLoraPrefix.size(), name.size() - kLoraPrefix.size() - kLoraASuffix.size());
}

std::string ip_key_name(size_t place) {
  return "ip_adapter." + std::to_string(place) + ".to_k_ip.weight";
}

std::string ip_value_name(size_t place) {
  return "ip_adapter." + std::to_string(place) + ".to_v_ip.weight";
}

std::string lora_metadata_json(int64_t rank,
                               double alpha,
                               const std::vector<std::string>& module_paths) {
  nlohmann::json alpha_value = alpha;
  if (alpha == std::floor(alpha) && std::abs(alpha) < 1e15)
    alpha_value = static_cast<int64_t>(alpha);
  const nlohmann::json metadata = {{"unet.alpha_pattern", nlohmann::json::object()},
                                   {"unet.bias", "none"},
                                   {"unet.fan_in_fan_out", false},
                                   {"unet.inference_mode", false},
                                   {"unet.init_lora_weights", true},
                                   {"unet.lora_alpha", alpha_value},
                                   {"unet.lora_dropout", 0.0},
                                   {"unet.peft_type", "LORA"},
                                   {"unet.r", rank},
                                   {"unet.rank_pattern", nlohmann::json::object()},
                                   {"unet.target_modules", module_paths},
                                   {"unet.use_dora", false},
                                   {"unet.use_rslora", false}};
  return metadata.dump(2);
}

std::string number_text(double value) {
  return nlohmann::json(value).dump();
}

double lora_alpha_from_metadata(const std::map<std::string, std::string>& metadata,
                                int64_t rank,
                                const std::string& file) {
  const auto found = metadata.find(kLoraMetadataKey);
  if (found == metadata.end()) return static_cast<double>(rank);
  const std::string where = file + ": " + kLoraMetadataKey;
  if (found->second.size() > (size_t{16} << 20)) throw InputError(where + ": too long");
  const nlohmann::json values =
      nlohmann::json::parse(found->second, nullptr, /*allow_exceptions=*/false);
  if (!values.is_object()) throw InputError(where + ": expected a JSON object");
  for (const char* key : {"unet.use_dora", "unet.use_rslora", "unet.lora_bias"}) {
    if (values.contains(key) && values[key] == true) {
      throw InputError(where + ": " + key + " is true: limewash computes plain LoRA only");
    }
  }
  for (const char* key : {"unet.rank_pattern", "unet.alpha_pattern"}) {
    if (values.contains(key) && !values[key].empty()) {
      throw InputError(where + ": " + key +
                       " is not empty: expected one rank and alpha for all modules");
    }
  }
  if (!values.contains("unet.lora_alpha")) return static_cast<double>(rank);
  const auto& alpha = values["unet.lora_alpha"];
  if (!alpha.is_number() || !std::isfinite(alpha.get<double>())) {
    throw InputError(where + ": unet.lora_alpha is " + printable(alpha.dump()) +
                     ": expected a number");
  }
  return alpha.get<double>();
}

}  // namespace limewash::models
