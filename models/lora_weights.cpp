#include "models/lora_weights.h"

#include <cmath>

#include <torch/torch.h>

namespace limewash::models {

namespace {

template <class Value>
Value most_frequent(const std::map<Value, int64_t>& counts) {
  Value best{};
  int64_t most = 0;
  for (const auto& [value, count] : counts) {
    if (count < most) continue;
    best = value;
    most = count;
  }
  return best;
}

}  // namespace

int64_t LoraModule::rank() const {
  return a.size(0);
}

double LoraWeights::scale_of(const LoraModule& module) const {
  return lora_scale(module.alpha, module.rank(), use_rslora);
}

int64_t LoraWeights::usual_rank() const {
  std::map<int64_t, int64_t> counts;
  for (const auto& [path, module] : modules) ++counts[module.rank()];
  return most_frequent(counts);
}

double LoraWeights::usual_alpha() const {
  std::map<double, int64_t> counts;
  for (const auto& [path, module] : modules) ++counts[module.alpha];
  return most_frequent(counts);
}

double lora_scale(double alpha, int64_t rank, bool use_rslora) {
  const auto numbers = static_cast<double>(rank);
  return alpha / (use_rslora ? std::sqrt(numbers) : numbers);
}

}  // namespace limewash::models
