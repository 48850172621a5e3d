#include <cmath>
#include <stdexcept>

#include "models/adapter_files.h"
#include "models/lora.h"
#include "models/module_pattern.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

constexpr int64_t kMostRank = 4096;
constexpr double kMostAlpha = 1e6;

void check_pattern(const char* key, const std::string& text) {
  std::string problem;
  if (text.starts_with('.') || text.ends_with('.')) problem = "it begins or ends with a dot";
  try {
    const ModulePattern pattern(text);
  } catch (const std::invalid_argument& error) {
    problem = error.what();
  }
  if (problem.empty()) return;
  throw ConfigError(std::string("adapter.lora.") + key + ": '" + text +
                    "' is no module name or pattern: " + problem);
}

}  // namespace

void LoraOptions::describe(config::Fields& fields) {
  fields.field("rank", rank, "rank of the LoRA; 0: none", {0, kMostRank});
  fields.field("alpha", alpha, "the LoRA is scaled by alpha / rank", {0, kMostAlpha});
  fields.field("dropout", dropout, "share of A's input that is dropped while training", {0, 1});
  fields.field("targets",
               targets,
               "ends of the module paths of the layers that get a LoRA, or regular expressions");
  fields.field("exclude_modules", exclude_modules, "the same for layers that get none after all");
  fields.field("rank_pattern", rank_pattern, "other ranks, by the same patterns", {1, kMostRank});
  fields.field(
      "alpha_pattern", alpha_pattern, "other alphas, by the same patterns", {0, kMostAlpha});
  fields.field("use_rslora", use_rslora, "scale by alpha / sqrt(rank)");
}

void LoraOptions::validate() const {
  if (rank < 0) {
    throw ConfigError("adapter.lora.rank is " + std::to_string(rank) + ": expected 0 or more");
  }
  if (rank > 0 && targets.empty()) {
    throw ConfigError("adapter.lora.targets is empty: expected module names such as to_q");
  }
  if (rank > 0 && !(std::isfinite(alpha) && alpha > 0)) {
    throw ConfigError("adapter.lora.alpha is " + number_text(alpha) + ": expected more than 0");
  }
  if (!(dropout >= 0 && dropout < 1)) {
    throw ConfigError("adapter.lora.dropout is " + number_text(dropout) +
                      ": expected 0 or more and less than 1");
  }
  for (const auto& target : targets) check_pattern("targets", target);
  for (const auto& excluded : exclude_modules) check_pattern("exclude_modules", excluded);
  for (const auto& [pattern, value] : rank_pattern) {
    check_pattern("rank_pattern", pattern);
    if (value < 1) {
      throw ConfigError("adapter.lora.rank_pattern." + pattern + " is " + std::to_string(value) +
                        ": expected 1 or more");
    }
  }
  for (const auto& [pattern, value] : alpha_pattern) {
    check_pattern("alpha_pattern", pattern);
    if (!(std::isfinite(value) && value > 0)) {
      throw ConfigError("adapter.lora.alpha_pattern." + pattern + " is " + number_text(value) +
                        ": expected more than 0");
    }
  }
}

LoraOptions lora_options_of(const LoraWeights& weights) {
  LoraOptions options;
  options.rank = weights.usual_rank();
  options.alpha = weights.usual_alpha();
  options.use_rslora = weights.use_rslora;
  options.targets.clear();
  for (const auto& [path, module] : weights.modules) {
    options.targets.push_back(path);
    if (module.rank() != options.rank) options.rank_pattern.emplace_back(path, module.rank());
    if (module.alpha != options.alpha) options.alpha_pattern.emplace_back(path, module.alpha);
  }
  return options;
}

}  // namespace limewash::models
