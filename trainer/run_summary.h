#pragma once
// RUN/summary.json: what a run came to, for scripts (design: docs/formats.md), and what is read out
// of it again.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace limewash::trainer {

struct RunSummary {
  std::string status;  ///< finished | stopped | failed
  int64_t steps = 0, samples = 0;
  double seconds = 0, samples_per_second = 0;
  int64_t trainers = 1, evaluators = 0;
  std::optional<double> final_loss;
  std::optional<double> data_share;  ///< of this attempt's time: what rank 0 waited for data
  int64_t bad_samples = 0;           ///< skipped in this attempt, on any rank
  int64_t loss_spikes = 0;           ///< steps whose loss stood out, in all attempts
  std::string checkpoint;            ///< relative to the run folder; "" when there is none
};

/// Write summary.json with the evaluations found in RUN/evaluations and the controls, as
/// Controls::to_json has them (kept from an earlier summary when null).
void write_run_summary(const std::filesystem::path& run_folder,
                       const RunSummary& summary,
                       const nlohmann::json& controls);

/// Write RUN/report.html out of the run's files.
void write_run_report(const std::filesystem::path& run_folder);

/// Give a run's summary another status, keeping what it said otherwise; makes one where there is
/// none.
void mark_run(const std::filesystem::path& run_folder, const std::string& status);

/// The evaluated step whose figures are best, by eval::choose_best.
std::optional<int64_t> best_evaluated_step(const std::filesystem::path& run_folder);

}  // namespace limewash::trainer
