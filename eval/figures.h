#pragma once
// What the named figures of design §10 mean to a reader: which end is better, how many decimals.

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace limewash::eval {

enum class Better { kLower, kHigher };

/// Which end of a figure is better; nullopt for a name that is no figure. `NAME_p90` is as `NAME`.
/// Besides the names of an evaluation: `loss` and `samples_per_second`.
std::optional<Better> better_end(const std::string& name);
/// Every name with a better end, without the `_p90` ones.
std::vector<std::string> known_figures();

/// The number `name` of a JSON object; nullopt when it is null, absent, no number or not finite.
std::optional<double> figure_of(const nlohmann::json& object, const std::string& name);
/// The object `name` of a JSON object; null when there is none.
const nlohmann::json& member_of(const nlohmann::json& object, const std::string& name);
/// With the decimals that suit the figure; "–" when missing.
std::string figure_text(const std::string& name, const std::optional<double>& value);

/// What a run is judged by: `delta_e_2000_exact` where `evaluation` has it, or `delta_e_2000`.
std::string headline_of(const nlohmann::json& evaluation);
/// The step of an evaluation; 0 is the base alone.
int64_t step_of(const nlohmann::json& evaluation);

}  // namespace limewash::eval
