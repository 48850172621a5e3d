#include "models/lora_metadata.h"

#include <cmath>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

// Ordered, as the first pattern that matches counts.
using Json = nlohmann::ordered_json;

constexpr size_t kLongestText = size_t{16} << 20;
constexpr int kMaxDepth = 32;
// What a hostile file may cost: names are cheap, expressions are not.
constexpr size_t kMostPatterns = 4096;
constexpr int kMostExpressions = 32;

Json parse_object(const std::string& text, const std::string& where) {
  if (text.size() > kLongestText) throw InputError(where + ": too long");
  const auto check = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) {
      throw InputError(where + ": JSON is nested deeper than " + std::to_string(kMaxDepth));
    }
    return true;
  };
  Json values;
  try {
    values = Json::parse(text, check);
  } catch (const Json::exception& error) {
    throw InputError(where + ": broken JSON: " + printable(error.what()));
  }
  if (!values.is_object()) throw InputError(where + ": expected a JSON object");
  return values;
}

/// One LoraConfig, its keys read with a prefix.
class ConfigReader {
 public:
  ConfigReader(const std::string& text, std::string where)
      : where_(std::move(where)), values_(parse_object(text, where_)) {
    if (values_.contains("unet.r") || values_.contains("unet.lora_alpha")) prefix_ = "unet.";
  }

  /// nullptr: absent or null.
  const Json* find(const std::string& key) const {
    const auto found = values_.find(prefix_ + key);
    return found == values_.end() || found->is_null() ? nullptr : &*found;
  }

  [[noreturn]] void reject(const std::string& key, const std::string& expected) const {
    const auto text = find(key)->dump(-1, ' ', true, Json::error_handler_t::replace);
    throw InputError(where_ + ": " + prefix_ + key + " is " + printable(text) + ": expected " +
                     expected);
  }

  bool is_true(const std::string& key) const {
    const Json* value = find(key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) reject(key, "true or false");
    return value->get<bool>();
  }

  double alpha(const std::string& key, const Json& value) const {
    const double number = value.is_number() ? value.get<double>() : NAN;
    if (!std::isfinite(number) || number <= 0) reject(key, "numbers above 0");
    return number;
  }

  std::vector<std::pair<ModulePattern, double>> alphas(const std::string& key) const {
    std::vector<std::pair<ModulePattern, double>> patterns;
    const Json* values = find(key);
    if (values == nullptr) return patterns;
    if (!values->is_object() || values->size() > kMostPatterns) {
      reject(key, "an object of at most " + std::to_string(kMostPatterns) + " patterns");
    }
    int expressions = 0;
    for (const auto& [pattern, value] : values->items()) {
      try {
        patterns.emplace_back(ModulePattern(pattern), alpha(key, value));
        expressions += patterns.back().first.is_expression() ? 1 : 0;
        if (expressions > kMostExpressions) {
          throw std::invalid_argument("more than " + std::to_string(kMostExpressions) +
                                      " regular expressions");
        }
      } catch (const std::invalid_argument& error) {
        throw InputError(where_ + ": " + prefix_ + key + " has the pattern '" + printable(pattern) +
                         "': " + printable(error.what()));
      }
    }
    return patterns;
  }

 private:
  std::string where_;
  Json values_;
  std::string prefix_;
};

void refuse_variants(const ConfigReader& config) {
  if (const Json* type = config.find("peft_type"); type != nullptr && *type != "LORA") {
    config.reject("peft_type", "LORA");
  }
  for (const char* key : {"use_dora", "lora_bias", "use_qalora"}) {
    if (config.is_true(key)) config.reject(key, "false: limewash computes plain LoRA only");
  }
  const Json* start = config.find("init_lora_weights");
  if (start == nullptr || !start->is_string()) return;
  const auto name = start->get<std::string>();
  for (const char* variant : {"pissa", "olora", "corda", "loftq", "lora_ga"}) {
    if (name.starts_with(variant)) {
      config.reject("init_lora_weights",
                    "a start that leaves the base's weights alone (peft converts such an adapter "
                    "when path_initial_model_for_weight_conversion is given)");
    }
  }
}

/// Whole numbers as such: 8, not 8.0.
nlohmann::json number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<int64_t>(value);
  return value;
}

}  // namespace

double PeftLoraConfig::alpha_of(const std::string& module_path, int64_t rank) const {
  for (const auto& [pattern, alpha] : alpha_pattern) {
    if (pattern.matches(module_path)) return alpha;
  }
  return lora_alpha.value_or(static_cast<double>(rank));
}

PeftLoraConfig parse_peft_lora_config(const std::string& json, const std::string& where) {
  const ConfigReader reader(json, where);
  refuse_variants(reader);
  PeftLoraConfig config;
  if (const Json* alpha = reader.find("lora_alpha")) {
    config.lora_alpha = reader.alpha("lora_alpha", *alpha);
  }
  config.alpha_pattern = reader.alphas("alpha_pattern");
  config.use_rslora = reader.is_true("use_rslora");
  return config;
}

std::string peft_lora_metadata(const LoraWeights& weights) {
  const int64_t rank = weights.usual_rank();
  const double alpha = weights.usual_alpha();
  auto ranks = nlohmann::json::object(), alphas = nlohmann::json::object();
  auto paths = nlohmann::json::array();
  for (const auto& [path, module] : weights.modules) {
    paths.push_back(path);
    if (module.rank() != rank) ranks[path] = module.rank();
    if (module.alpha != alpha) alphas[path] = number(module.alpha);
  }
  const nlohmann::json metadata = {{"unet.alpha_pattern", alphas},
                                   {"unet.bias", "none"},
                                   {"unet.fan_in_fan_out", false},
                                   {"unet.inference_mode", false},
                                   {"unet.init_lora_weights", true},
                                   {"unet.lora_alpha", number(alpha)},
                                   {"unet.lora_dropout", 0.0},
                                   {"unet.peft_type", "LORA"},
                                   {"unet.r", rank},
                                   {"unet.rank_pattern", ranks},
                                   {"unet.target_modules", paths},
                                   {"unet.use_dora", false},
                                   {"unet.use_rslora", weights.use_rslora}};
  return metadata.dump(2);
}

}  // namespace limewash::models
