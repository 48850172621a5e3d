#pragma once
// Named figures that may be missing, and their medians.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace limewash::eval {

/// The figures of one painting or the medians of many, by the names of design §10; nullopt is
/// missing.
struct Metrics {
  std::vector<std::pair<std::string, std::optional<double>>> values;
  /// nullopt when missing, and when there is no such name.
  std::optional<double> get(const std::string& name) const;
  /// Add a figure; a value that is not finite becomes missing.
  void add(const std::string& name, std::optional<double> value);
};

/// {name: value or null}.
nlohmann::json metrics_to_json(const Metrics& metrics);
/// Of a JSON object; names in its order, null is missing.
Metrics metrics_from_json(const nlohmann::json& json);

/// The q-quantile, q in [0, 1], interpolated linearly as numpy.quantile does; nullopt for no
/// values.
std::optional<double> quantile(std::vector<double> values, double q);

/// How many paintings miss a figure, by name.
using MissingCounts = std::vector<std::pair<std::string, int64_t>>;

/// For each name the median over the paintings that have it, and `NAME_p90` beside `delta_e_2000`
/// and `delta_e_2000_exact`. Names follow the first record.
struct Aggregate {
  Metrics metrics;
  MissingCounts missing;  ///< only names that miss in at least one painting
};
Aggregate aggregate(const std::vector<Metrics>& paintings);

}  // namespace limewash::eval
