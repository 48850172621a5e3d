#pragma once
// Which of a run's evaluations is best.

#include <cstddef>
#include <optional>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace limewash::eval {

/// By how much the colour outside may change more than the base alone changes it (mean CIEDE2000,
/// about what an eye can see), and by how much the shading may correlate less.
inline constexpr double kMostOutsideChange = 1.0, kMostShadingLoss = 0.05;

struct BestChoice {
  size_t index = 0;
  bool within_bounds = true;  ///< false: none is; this one is nearest to it
};

/// `evaluations`: EvaluationResult::to_json, in any order; step 0, the base alone, does not
/// compete. With exact repaints the lowest `delta_e_2000_exact` wins: flat paint cannot win it.
/// Without them the lowest `delta_e_2000` among those that keep `shading_fidelity` and
/// `delta_e_2000_outside` within the bounds above of step 0's, since flat paint over everything has
/// the best colour of all. A missing shading fidelity, which flat paint has, is out of bounds; a
/// bound that step 0 has no figure for does not bind. Where none is within, the one that is least
/// beyond. nullopt when none has a figure to compete by.
std::optional<BestChoice> choose_best(const std::vector<nlohmann::json>& evaluations);

}  // namespace limewash::eval
