#include "eval/metrics.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

namespace limewash::eval {
namespace {

bool has_tail(const std::string& name) {
  return name == "delta_e_2000" || name == "delta_e_2000_exact";
}

}  // namespace

std::optional<double> Metrics::get(const std::string& name) const {
  for (const auto& [key, value] : values) {
    if (key == name) return value;
  }
  return std::nullopt;
}

void Metrics::add(const std::string& name, std::optional<double> value) {
  if (value && !std::isfinite(*value)) value.reset();
  values.emplace_back(name, value);
}

nlohmann::json metrics_to_json(const Metrics& metrics) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [name, value] : metrics.values) {
    json[name] = value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  }
  return json;
}

Metrics metrics_from_json(const nlohmann::json& json) {
  Metrics metrics;
  for (const auto& [name, value] : json.items()) {
    if (value.is_number()) metrics.add(name, value.get<double>());
    if (value.is_null()) metrics.add(name, std::nullopt);
  }
  return metrics;
}

std::optional<double> quantile(std::vector<double> values, double q) {
  if (values.empty()) return std::nullopt;
  const double position = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(position);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), middle, values.end());
  const double low = *middle;
  if (below + 1 == values.size()) return low;
  const double high = *std::min_element(middle + 1, values.end());
  return low + (position - static_cast<double>(below)) * (high - low);
}

Aggregate aggregate(const std::vector<Metrics>& paintings) {
  Aggregate result;
  if (paintings.empty()) return result;
  for (const auto& [name, unused] : paintings.front().values) {
    std::vector<double> present;
    for (const Metrics& painting : paintings) {
      if (const std::optional<double> value = painting.get(name)) present.push_back(*value);
    }
    const auto missing = static_cast<int64_t>(paintings.size() - present.size());
    if (missing > 0) result.missing.emplace_back(name, missing);
    result.metrics.add(name, quantile(present, 0.5));
    if (has_tail(name)) result.metrics.add(name + "_p90", quantile(present, 0.9));
  }
  return result;
}

}  // namespace limewash::eval
