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
      losses;                                   ///< (step, term -> value), by rising step
  std::vector<ReportFolder> folders;            ///< of the evaluations, by rising step
  std::filesystem::path folder;                 ///< the run's
  std::map<std::string, std::string> settings;  ///< `section.key` -> value, as config.yaml has them
};

/// Write `run_folder`/report.html: summary, curves of loss and colour difference by step, all
/// evaluations beside controls and floor, the first and the last picture grid embedded and the
/// others linked, the last evaluation by asked colour and by lightness, and its worst and best
/// paintings. Folders whose files are not there are left out.
void write_report(const std::filesystem::path& run_folder, const ReportData& data);

}  // namespace limewash::eval
