#pragma once
// metrics.json read again: the paintings of an evaluation one by one, for reports.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace limewash::eval {

/// A metrics.json (eval/evaluation_files.h).
struct EvaluationRecords {
  nlohmann::json head;                  ///< everything but the records
  std::vector<nlohmann::json> records;  ///< one object a painting: photo, asked, own_color, figures
};

/// Throws InputError naming the file: missing, larger than 1 GB, no JSON, or not of this form.
EvaluationRecords read_evaluation_records(const std::filesystem::path& metrics_file);

/// Medians of a part of the paintings.
struct BreakdownRow {
  std::string label;  ///< "#rrggbb", or in words
  bool is_color = false;
  int64_t paintings = 0;
  /// By the names asked for; nullopt where no painting of the part has the figure.
  std::map<std::string, std::optional<double>> medians;
};

/// The paintings by the colour they asked for, as the palette lists them; those that asked for the
/// wall's own colour make one row, the last.
std::vector<BreakdownRow> breakdown_by_color(const std::vector<nlohmann::json>& records,
                                             const std::vector<std::string>& names);
/// By L* of the asked colour, in five bands of 20 from dark to bright; bands without a painting are
/// left out, and so are paintings whose colour cannot be read.
std::vector<BreakdownRow> breakdown_by_lightness(const std::vector<nlohmann::json>& records,
                                                 const std::vector<std::string>& names);

/// Indices into `records` by the figure `name`: the worst first, the best first; each at most
/// `count`, none in both. Paintings that miss the figure are left out.
struct ExtremeCases {
  std::vector<size_t> worst, best;
};
ExtremeCases extreme_cases(const std::vector<nlohmann::json>& records,
                           const std::string& name,
                           size_t count);

}  // namespace limewash::eval
