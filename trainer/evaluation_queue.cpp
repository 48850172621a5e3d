#include "trainer/evaluation_queue.h"

#include <algorithm>
#include <charconv>
#include <string>

#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/files.h"
#include "trainer/checkpoint.h"
#include "trainer/run_files.h"

namespace limewash::trainer {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-", kEntry = ".json", kMeasured = ".measured";

/// The step of an entry's file name; nullopt for every other file.
std::optional<int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kEntry)) return std::nullopt;
  const char* const end = name.data() + name.size() - kEntry.size();
  int64_t step = 0;
  const auto read = std::from_chars(name.data() + kPrefix.size(), end, step);
  return read.ec == std::errc() && read.ptr == end ? std::optional(step) : std::nullopt;
}

nlohmann::json parse(const fs::path& path) {
  try {
    return nlohmann::json::parse(read_file(path));
  } catch (const nlohmann::json::exception& error) {
    throw InputError(path.string() + ": " + error.what());
  }
}

}  // namespace

EvaluationQueue::EvaluationQueue(const fs::path& run_folder)
    : folder_(run_folder / kFolder), checkpoints_(run_folder / "checkpoints") {}

void EvaluationQueue::begin() {
  fs::create_directories(folder_);
  fs::remove(folder_ / "ended");
  fs::remove(folder_ / "stop");
}

void EvaluationQueue::open(int64_t step) {
  const auto complete = complete_checkpoints(checkpoints_);
  for (const int64_t waiting : steps()) {
    const bool there = waiting == 0 || is_measured(waiting) ||
                       std::find(complete.begin(), complete.end(), waiting) != complete.end();
    if (waiting <= step && there) continue;
    fs::remove(measured_path(waiting));
    fs::remove(entry_path(waiting));
  }
}

void EvaluationQueue::add(const Entry& entry) {
  const nlohmann::json document = {{"step", entry.step}, {"last", entry.last}};
  write_file_atomically(entry_path(entry.step), document.dump() + "\n");
}

std::vector<int64_t> EvaluationQueue::steps() const {
  std::vector<int64_t> steps;
  std::error_code gone;  // a run folder that vanished is for others to tell
  for (const auto& file : fs::directory_iterator(folder_, gone)) {
    if (const auto step = step_of(file.path().filename().string())) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

bool EvaluationQueue::is_measured(int64_t step) const {
  std::error_code gone;
  return fs::exists(measured_path(step), gone);
}

nlohmann::json EvaluationQueue::controls(int64_t step) const {
  return parse(measured_path(step));
}

void EvaluationQueue::settle(int64_t step) {
  for (const int64_t older : steps()) {
    if (older > step) break;
    fs::remove(measured_path(older));
    fs::remove(entry_path(older));
  }
}

void EvaluationQueue::end() {
  write_file_atomically(folder_ / "ended", "");
}

std::optional<EvaluationQueue::Entry> EvaluationQueue::next(int64_t done) const {
  std::vector<int64_t> waiting;
  for (const int64_t step : steps()) {
    // What is older than a measured one was passed over.
    if (is_measured(step)) {
      done = step;
      waiting.clear();
    } else if (step > done) {
      waiting.push_back(step);
    }
  }
  if (waiting.empty()) return std::nullopt;
  const int64_t step = waiting.front() == 0 ? 0 : waiting.back();
  std::error_code gone;
  // The trainer may settle it at this moment.
  if (!fs::exists(entry_path(step), gone)) return std::nullopt;
  return Entry{step, parse(entry_path(step)).value("last", false)};
}

void EvaluationQueue::mark_measured(int64_t step, const nlohmann::json& controls) {
  write_file_atomically(measured_path(step), controls.dump() + "\n");
}

bool EvaluationQueue::has_ended() const {
  std::error_code gone;
  return fs::exists(folder_ / "ended", gone);
}

void EvaluationQueue::ask_to_stop() {
  write_file_atomically(folder_ / "stop", "");
}

bool EvaluationQueue::is_asked_to_stop() const {
  std::error_code gone;
  return fs::exists(folder_ / "stop", gone);
}

fs::path EvaluationQueue::entry_path(int64_t step) const {
  return folder_ / (step_name(step) + std::string(kEntry));
}

fs::path EvaluationQueue::measured_path(int64_t step) const {
  return folder_ / (step_name(step) + std::string(kMeasured));
}

}  // namespace limewash::trainer
