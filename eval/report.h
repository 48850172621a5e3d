#pragma once
// report.html of one run: what a person opens after a training. One file, no script, no server.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace limewash::eval {

/// A folder that Evaluator::evaluate wrote: metrics.json and grid.png.
struct ReportFolder {
  int64_t step = 0;
  std::filesystem::path path;  ///< relative to the run folder
};

struct ReportData {
  std::string run_name;
  std::string status;  ///< finished | stopped | failed
  std::vector<std::pair<std::string, std::string>>
      facts;  ///< what else the head shows: device, ranks, rate
  std::vector<nlohmann::json>
      evaluations;          ///< EvaluationResult::to_json, by rising step; step 0: the base alone
  nlohmann::json controls;  ///< Controls::to_json, or null
  std::vector<std::pair<int64_t, std::map<std::string, double>>>
      losses;                         ///< (step, term -> value), by rising step
  std::vector<ReportFolder> folders;  ///< of the evaluations, by rising step
};

/// Write `run_folder`/report.html: summary, curves of loss and colour difference by step, all
/// evaluations beside controls and floor, the first and the last picture grid embedded and the
/// others linked, and the worst and best paintings of the last evaluation. Folders whose files are
/// not there are left out.
void write_report(const std::filesystem::path& run_folder, const ReportData& data);

}  // namespace limewash::eval
