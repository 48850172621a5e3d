#pragma once
// The files of a run that scripts read: losses.csv and summary.json (docs/formats.md).

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace limewash::trainer {

/// One line of losses.csv.
struct StepRecord {
  int64_t step = 0;  ///< from 1
  double loss = 0, noise = 0, color = 0;
  double learning_rate = 0, gradient_norm = 0;
};

/// RUN/losses.csv: each step exactly once, full precision, flushed at checkpoints.
class LossLog {
 public:
  /// Open for going on after `step`: what an earlier attempt wrote beyond it is cut off.
  LossLog(const std::filesystem::path& path, int64_t step);
  ~LossLog();
  LossLog(const LossLog&) = delete;
  LossLog& operator=(const LossLog&) = delete;
  void append(const StepRecord& record);
  void sync();

 private:
  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
};

/// The records of a losses.csv, for the report.
std::vector<StepRecord> read_losses(const std::filesystem::path& path);

}  // namespace limewash::trainer
