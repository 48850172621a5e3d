#pragma once
// Run folders read by others than their trainer: for tables, comparisons and choosing.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "eval/report.h"

namespace limewash::trainer {

/// What a run says of itself. A run that has not ended has no summary; `status` is then "running"
/// when its folder is locked by a process, else "unfinished".
struct RunFolder {
  std::filesystem::path folder;
  std::string name;         ///< the folder's name
  std::string status;       ///< finished | stopped | failed | running | unfinished | damaged
  nlohmann::json summary;   ///< summary.json, checked to be of its form; null when there is none
  int64_t modified_ms = 0;  ///< last change of its summary, or else of its losses, since 1970
  std::string problem;      ///< of a damaged run: what is wrong, with the file's name
};

/// Whether the folder holds what a training writes: a summary, losses, checkpoints or a journal.
bool is_run_folder(const std::filesystem::path& folder);

/// Throws InputError: no such folder, not a run, or a damaged file, by name.
RunFolder read_run_folder(const std::filesystem::path& folder);

/// The runs at and below `parent`, sorted by path; a run is not searched for others, links are not
/// followed, and at most four levels are looked at. A damaged run is listed as such. Throws
/// InputError when there is no such folder.
std::vector<RunFolder> find_runs(const std::filesystem::path& parent);

/// Read summary.json and check the types of every field that readers use. Throws InputError naming
/// file and field.
nlohmann::json read_checked_summary(const std::filesystem::path& run_folder);

/// "none" (no journal), "local" (never shipped), "shipped", or "N left".
std::string tracker_state(const std::filesystem::path& run_folder);

/// What a page shows of a run, out of its files. Throws InputError for a damaged summary; what else
/// is missing or damaged is left out.
eval::ReportData read_report_data(const RunFolder& run);

/// The finished checkpoint of a step; none when it was never written or is deleted.
std::optional<std::filesystem::path> finished_checkpoint(const std::filesystem::path& run_folder,
                                                         int64_t step);

}  // namespace limewash::trainer
