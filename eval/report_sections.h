#pragma once
// Parts of a page that tell of one evaluation's paintings: for one run, or for several side by
// side.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eval/evaluation_records.h"
#include "eval/report.h"

namespace limewash::eval {

/// A run on a page, with the paintings of its last evaluation that can be read.
struct ReportedRun {
  const ReportData* data = nullptr;
  int index = 0;  ///< place among the runs of the page: its colour and letter
  std::optional<EvaluationRecords> records;
  std::filesystem::path evaluation;  ///< the folder that `records` are of
  int64_t step = 0;
  std::string problem;  ///< why `records` could not be read
  /// "A", "B", ... "Z", "27", ...
  std::string letter() const;
};

/// `data.folder` says where the evaluations are; `data` must outlive the result.
ReportedRun last_evaluation_of(const ReportData& data, int index);
/// The letter in the run's colour, as HTML.
std::string letter_badge(const ReportedRun& run);

/// Medians by asked colour and by lightness; "" without records.
std::string breakdown_of_run(const ReportedRun& run);
/// The headline figure of the runs by asked colour and by lightness, the better one marked where
/// `mark_better`.
std::string breakdown_of_runs(const std::vector<ReportedRun>& runs, bool mark_better);
/// The worst and best paintings: pictures where the evaluation has them, and a list of at most
/// `listed` of each (0: only where there are no pictures); "" without records.
std::string cases_of_run(const ReportedRun& run, size_t listed);

}  // namespace limewash::eval
