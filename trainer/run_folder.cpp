#include "trainer/run_folder.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <map>
#include <sys/file.h>
#include <unistd.h>

#include <spdlog/fmt/fmt.h>

#include "eval/figures.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "tracking/journal.h"
#include "tracking/shipping_session.h"
#include "tracking/shipping_state.h"
#include "trainer/checkpoint.h"
#include "trainer/run_files.h"
#include "trainer/setting_differences.h"

namespace limewash::trainer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kDeepest = 4;
constexpr uint64_t kLargestSummary = uint64_t{256} << 20;

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

/// Whether a process holds the folder's lock (runtime/files.h).
bool is_locked(const fs::path& folder) {
  const int descriptor = ::open((folder / ".lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool locked = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);
  return locked;
}

int64_t modified_ms(const fs::path& path) {
  std::error_code error;
  const auto time = fs::last_write_time(path, error);
  if (error) return 0;
  const auto since = std::chrono::file_clock::to_sys(time).time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

int64_t last_change(const fs::path& folder) {
  for (const char* file : {"summary.json", "losses.csv", "config.yaml"}) {
    if (const int64_t time = modified_ms(folder / file); time != 0) return time;
  }
  return modified_ms(folder);
}

/// The configuration that the run resolved; empty when there is none that can be read. Any
/// version's keys are taken as they are: it is shown, not used.
std::map<std::string, std::string> read_settings(const fs::path& folder) {
  std::map<std::string, std::string> settings;
  const auto path = folder / "config.yaml";
  if (!is_there(path)) return settings;
  try {
    settings = settings_of(read_file(path, uint64_t{4} << 20), path.string());
  } catch (const ConfigError&) {
    settings.clear();
  } catch (const InputError&) {
    settings.clear();
  }
  return settings;
}

void collect(const fs::path& folder, int depth, std::vector<RunFolder>& runs) {
  if (is_run_folder(folder)) {
    try {
      runs.push_back(read_run_folder(folder));
    } catch (const InputError& error) {
      RunFolder damaged;
      damaged.folder = folder;
      damaged.name = folder.filename().string();
      damaged.status = "damaged";
      damaged.modified_ms = last_change(folder);
      damaged.problem = error.what();
      runs.push_back(std::move(damaged));
    }
    return;
  }
  if (depth == kDeepest) return;
  std::error_code error;
  std::vector<fs::path> below;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const bool hidden = it->path().filename().string().starts_with(".");
    if (!hidden && !it->is_symlink(ignored) && it->is_directory(ignored))
      below.push_back(it->path());
  }
  std::sort(below.begin(), below.end());
  for (const fs::path& one : below) collect(one, depth + 1, runs);
}

void check(bool good, const fs::path& path, const std::string& field, const char* expected) {
  if (!good) throw InputError(path.string() + ": " + field + ": expected " + expected);
}

}  // namespace

bool is_run_folder(const fs::path& folder) {
  return is_there(folder / "summary.json") || is_there(folder / "losses.csv") ||
         is_there(folder / "checkpoints") || !tracking::find_journals(folder).empty();
}

json read_checked_summary(const fs::path& run_folder) {
  const auto path = run_folder / "summary.json";
  if (!is_there(path)) throw InputError(path.string() + ": not there; has the run ended?");
  json summary;
  try {
    summary = json::parse(read_file(path, kLargestSummary));
  } catch (const json::exception& error) {
    throw InputError(path.string() + ": " + error.what());
  }
  check(summary.is_object(), path, "the file", "an object");
  const auto null_or =
      [&](const json& object, const char* field, const auto& is, const char* expected) {
        const json& value = eval::member_of(object, field);
        check(value.is_null() || is(value), path, field, expected);
      };
  const auto text = [](const json& value) { return value.is_string(); };
  const auto number = [](const json& value) { return value.is_number(); };
  const auto object = [](const json& value) { return value.is_object(); };
  for (const char* field : {"status", "checkpoint"}) null_or(summary, field, text, "a text");
  for (const char* field : {"steps",
                            "samples",
                            "seconds",
                            "samples_per_second",
                            "trainers",
                            "evaluators",
                            "final_loss"})
    null_or(summary, field, number, "a number");
  for (const char* field : {"controls", "best"}) null_or(summary, field, object, "an object");
  for (const char* control : {"shuffled_reference", "recolored_without_network", "floor"})
    null_or(eval::member_of(summary, "controls"), control, object, "an object");
  const json& evaluations = eval::member_of(summary, "evaluations");
  check(evaluations.is_null() || evaluations.is_array(), path, "evaluations", "a list of objects");
  for (const json& evaluation : evaluations) {
    check(evaluation.is_object(), path, "evaluations", "a list of objects");
    check(eval::member_of(evaluation, "step").is_number(), path, "evaluations.step", "a number");
    null_or(evaluation, "missing", object, "an object");
  }
  // Nulls of required fields would surprise readers that ask for a default.
  for (const char* field : {"status", "steps", "samples_per_second", "trainers", "evaluations"}) {
    if (summary.contains(field) && summary[field].is_null()) summary.erase(field);
  }
  return summary;
}

RunFolder read_run_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) throw InputError(folder.string() + ": no such folder");
  if (!is_run_folder(folder)) {
    throw InputError(folder.string() +
                     ": not a run: it has no summary.json, losses.csv, checkpoints or journal");
  }
  RunFolder run;
  run.folder = folder;
  run.name = fs::absolute(folder).lexically_normal().filename().string();
  if (run.name.empty())
    run.name = fs::absolute(folder / "x").lexically_normal().parent_path().filename().string();
  run.modified_ms = last_change(folder);
  if (is_there(folder / "summary.json")) {
    run.summary = read_checked_summary(folder);
    run.status = run.summary.value("status", "unknown");
  } else {
    run.status = "unfinished";
  }
  if (is_locked(folder)) run.status = "running";
  return run;
}

std::vector<RunFolder> find_runs(const fs::path& parent) {
  std::error_code error;
  if (!fs::is_directory(parent, error)) throw InputError(parent.string() + ": no such folder");
  std::vector<RunFolder> runs;
  collect(parent, 0, runs);
  return runs;
}

std::string tracker_state(const fs::path& run_folder) {
  if (tracking::find_journals(run_folder).empty()) return "none";
  if (!is_there(run_folder / "tracker.json")) return "local";
  const auto state = tracking::load_shipping_state(run_folder);
  if (state.run_id.empty()) return "local";
  const int64_t left = tracking::ShippingSession::count_unshipped(run_folder, state.uri);
  return left == 0 ? "shipped" : fmt::format("{} left", left);
}

eval::ReportData read_report_data(const RunFolder& run) {
  eval::ReportData report;
  const json& summary = run.summary;
  report.run_name = run.name;
  report.folder = run.folder;
  report.status = run.status;
  const auto fact = [&](const char* name, const char* field, const char* form) {
    if (const auto value = eval::figure_of(summary, field))
      report.facts.emplace_back(name, fmt::format(fmt::runtime(form), *value));
  };
  fact("steps", "steps", "{:.0f}");
  fact("trainer ranks", "trainers", "{:.0f}");
  fact("samples/s", "samples_per_second", "{:.1f}");
  report.controls = eval::member_of(summary, "controls");
  for (const json& evaluation : eval::member_of(summary, "evaluations"))
    report.evaluations.push_back(evaluation);
  std::stable_sort(
      report.evaluations.begin(), report.evaluations.end(), [](const json& a, const json& b) {
        return eval::step_of(a) < eval::step_of(b);
      });
  for (const json& evaluation : report.evaluations) {
    const int64_t step = eval::step_of(evaluation);
    report.folders.push_back({step, fmt::format("evaluations/step-{:06d}", step)});
  }
  const auto losses = read_losses(run.folder / "losses.csv");
  for (const auto& record : losses.records) {
    report.losses.push_back({record.step, {}});
    auto& terms = report.losses.back().second;
    for (const auto& column : losses.columns) {
      const auto value = losses.value(record, column);
      const bool is_loss =
          column != "learning_rate" && column != "gradient_norm" && !column.ends_with("_share");
      if (value && is_loss) terms[column] = *value;
    }
  }
  report.settings = read_settings(run.folder);
  return report;
}

std::optional<fs::path> finished_checkpoint(const fs::path& run_folder, int64_t step) {
  const auto path = checkpoint_path(run_folder / "checkpoints", step);
  if (!is_there(path / "DONE")) return std::nullopt;
  return path;
}

}  // namespace limewash::trainer
