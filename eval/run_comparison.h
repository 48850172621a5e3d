#pragma once
// Runs side by side: which settings differ, which figure is better, and whether they compare at
// all.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "eval/report_sections.h"

namespace limewash::eval {

/// One figure of all runs.
struct ComparedFigure {
  std::string group;  ///< "final", "best", "run", or the name of a control
  std::string name;
  std::vector<std::optional<double>> values;  ///< one a run
  std::vector<bool> better;                   ///< one a run; none where the figure cannot judge
};

struct RunComparison {
  /// Keys whose values differ, by name; a run without the key has none.
  std::map<std::string, std::vector<std::optional<std::string>>> settings;
  std::vector<ComparedFigure> figures;
  std::vector<std::optional<int64_t>> final_steps, best_steps;  ///< one a run
  /// Why the figures of the runs must not be compared (another protocol, other photos, other
  /// options); then nothing is marked as better.
  std::vector<std::string> warnings;

  bool comparable() const {
    return warnings.empty();
  }
  /// The best evaluation of every run is its last: its figures need not be shown twice.
  bool best_is_last() const {
    return best_steps == final_steps;
  }
};

/// What names a run, or says only where it ran and reports to, is no difference: `run.name`,
/// `run.output`, `tracking.`, `synthesize.`, `prepare.`.
RunComparison compare_runs(const std::vector<ReportedRun>& runs);

/// {runs: [{name, folder, status, final, best, controls}], settings: {key: [value or null]},
/// better: {final: {figure: [index]}, best: {...}}, warnings: [...]}.
nlohmann::json comparison_json(const std::vector<ReportedRun>& runs,
                               const RunComparison& comparison);

/// One page for all runs: curves in common charts, figures beside controls and floor, paintings by
/// colour and lightness, worst and best cases, the settings that differ.
std::string comparison_html(const std::vector<ReportedRun>& runs, const RunComparison& comparison);

}  // namespace limewash::eval
