#pragma once
// losses.csv, which scripts read (docs/formats.md).

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace limewash::trainer {

/// A run writes only into the folder that it began in: one that was moved or deleted meanwhile must
/// not be made anew, which would hide it. Throws InputError naming a folder that is gone.
void require_run_folder(const std::filesystem::path& run_folder);

/// "step-000500": how the files and folders of a step are called.
std::string step_name(int64_t step);

/// Where the figures of a step's evaluation are: RUN/evaluations/step-NNNNNN.
std::filesystem::path evaluation_folder(const std::filesystem::path& run_folder, int64_t step);

/// Make what those folders lie in. Before measuring, which takes minutes: afterwards a run folder
/// that vanished meanwhile would be made anew. Throws like require_run_folder.
void make_evaluations_folder(const std::filesystem::path& run_folder);

/// One line of losses.csv.
struct StepRecord {
  int64_t step = 0;                           ///< from 1
  std::vector<std::optional<double>> values;  ///< of the columns behind `step`; nullopt: empty
};

/// RUN/losses.csv: each step exactly once, full precision, flushed at checkpoints.
class LossLog {
 public:
  /// Open for going on after `step`: what an earlier attempt wrote beyond it is cut off, and what
  /// it wrote of other columns than `columns` (without `step`) is left out.
  LossLog(const std::filesystem::path& path, std::vector<std::string> columns, int64_t step);
  ~LossLog();
  LossLog(const LossLog&) = delete;
  LossLog& operator=(const LossLog&) = delete;
  void append(const StepRecord& record);
  void sync();

 private:
  std::filesystem::path path_;
  std::vector<std::string> columns_;
  std::FILE* file_ = nullptr;
};

/// A losses.csv; lines that a killed process left torn are not in it.
struct LossTable {
  std::vector<std::string> columns;  ///< without `step`
  std::vector<StepRecord> records;
  /// nullopt for a column that is not there or a cell that is empty.
  std::optional<double> value(const StepRecord& record, const std::string& column) const;
};

/// Empty where there is no such file.
LossTable read_losses(const std::filesystem::path& path);

}  // namespace limewash::trainer
