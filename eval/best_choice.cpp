#include "eval/best_choice.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <nlohmann/json.hpp>

#include "eval/figures.h"

namespace limewash::eval {
namespace {

using nlohmann::json;

bool is_base_alone(const json& evaluation) {
  return step_of(evaluation) == 0;
}

/// What a real photo's evaluation may not fall behind.
struct Bounds {
  std::optional<double> least_shading, most_outside;

  /// In units of the allowance; 0 within the bounds.
  double excess(const json& evaluation) const {
    double result = 0;
    if (least_shading) {
      const double shading = figure_of(evaluation, "shading_fidelity").value_or(-1);
      result = std::max(result, (*least_shading - shading) / kMostShadingLoss);
    }
    if (const auto outside = figure_of(evaluation, "delta_e_2000_outside");
        outside && most_outside) {
      result = std::max(result, (*outside - *most_outside) / kMostOutsideChange);
    }
    return result;
  }
};

Bounds bounds_of(const std::vector<json>& evaluations) {
  Bounds bounds;
  for (const json& evaluation : evaluations) {
    if (!is_base_alone(evaluation)) continue;
    if (const auto value = figure_of(evaluation, "shading_fidelity"))
      bounds.least_shading = *value - kMostShadingLoss;
    if (const auto value = figure_of(evaluation, "delta_e_2000_outside"))
      bounds.most_outside = *value + kMostOutsideChange;
  }
  return bounds;
}

}  // namespace

std::optional<BestChoice> choose_best(const std::vector<json>& evaluations) {
  const bool exact = std::any_of(evaluations.begin(), evaluations.end(), [](const json& one) {
    return !is_base_alone(one) && figure_of(one, "delta_e_2000_exact");
  });
  const Bounds bounds = exact ? Bounds{} : bounds_of(evaluations);
  std::optional<BestChoice> best;
  double best_score = INFINITY, best_excess = INFINITY;
  for (size_t i = 0; i < evaluations.size(); ++i) {
    const auto score = figure_of(evaluations[i], exact ? "delta_e_2000_exact" : "delta_e_2000");
    if (is_base_alone(evaluations[i]) || !score) continue;
    const double excess = bounds.excess(evaluations[i]);
    if (excess > best_excess || (excess == best_excess && *score >= best_score)) continue;
    best = BestChoice{i, excess <= 0};
    best_score = *score;
    best_excess = excess;
  }
  return best;
}

}  // namespace limewash::eval
