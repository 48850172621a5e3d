#include "trainer/run_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::trainer {

namespace {

constexpr const char* kEvaluations = "evaluations";

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells;
  size_t begin = 0;
  while (true) {
    const size_t end = line.find(',', begin);
    cells.push_back(line.substr(begin, end == std::string::npos ? end : end - begin));
    if (end == std::string::npos) return cells;
    begin = end + 1;
  }
}

/// A whole line of `columns` values behind the step, or nothing for a torn one.
std::optional<StepRecord> parse_record(const std::string& line, size_t columns) {
  const auto cells = split(line);
  StepRecord record;
  const std::string& step = cells.front();
  const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), record.step);
  if (cells.size() != columns + 1 || error != std::errc() || end != step.data() + step.size())
    return std::nullopt;
  for (size_t i = 1; i < cells.size(); ++i) {
    char* rest = nullptr;
    const double value = std::strtod(cells[i].c_str(), &rest);
    if (*rest != '\0') return std::nullopt;
    record.values.push_back(cells[i].empty() ? std::nullopt : std::optional(value));
  }
  return record;
}

std::string line_of(const StepRecord& record) {
  std::string line = std::to_string(record.step);
  for (const auto& value : record.values) {
    char text[32] = "";
    if (value) std::snprintf(text, sizeof text, "%.17g", *value);
    line += std::string(",") + text;
  }
  return line + "\n";
}

}  // namespace

void require_run_folder(const std::filesystem::path& run_folder) {
  if (!std::filesystem::is_directory(run_folder))
    throw InputError(run_folder.string() + ": the run folder has vanished");
}

void make_evaluations_folder(const std::filesystem::path& run_folder) {
  require_run_folder(run_folder);
  std::filesystem::create_directory(run_folder / kEvaluations);
}

std::string step_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%06lld", static_cast<long long>(step));
  return name;
}

std::filesystem::path evaluation_folder(const std::filesystem::path& run_folder, int64_t step) {
  return run_folder / kEvaluations / step_name(step);
}

LossLog::LossLog(const std::filesystem::path& path, std::vector<std::string> columns, int64_t step)
    : path_(path), columns_(std::move(columns)) {
  std::string kept = "step";
  for (const auto& column : columns_) kept += "," + column;
  kept += "\n";
  const auto earlier = step > 0 ? read_losses(path) : LossTable{};
  for (const auto& record : earlier.records) {
    if (record.step > step) continue;
    StepRecord same{record.step, {}};
    for (const auto& column : columns_) same.values.push_back(earlier.value(record, column));
    kept += line_of(same);
  }
  write_file_atomically(path, kept);
  file_ = std::fopen(path.c_str(), "ae");
  if (file_ == nullptr) throw InputError(path.string() + ": can't open: " + std::strerror(errno));
}

LossLog::~LossLog() {
  if (file_ != nullptr) std::fclose(file_);
}

void LossLog::append(const StepRecord& record) {
  if (std::fputs(line_of(record).c_str(), file_) < 0)
    throw InputError(path_.string() + ": can't write: " + std::strerror(errno));
}

void LossLog::sync() {
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) {
    throw InputError(path_.string() + ": can't write: " + std::strerror(errno));
  }
}

std::optional<double> LossTable::value(const StepRecord& record, const std::string& column) const {
  const auto found = std::find(columns.begin(), columns.end(), column);
  if (found == columns.end()) return std::nullopt;
  return record.values.at(static_cast<size_t>(found - columns.begin()));
}

LossTable read_losses(const std::filesystem::path& path) {
  LossTable table;
  if (!std::filesystem::exists(path)) return table;
  std::istringstream lines(read_file(path));
  std::string line;
  if (!std::getline(lines, line)) return table;
  table.columns = split(line);
  table.columns.erase(table.columns.begin());
  while (std::getline(lines, line)) {
    if (lines.eof()) break;  // no newline: torn
    if (auto record = parse_record(line, table.columns.size()))
      table.records.push_back(std::move(*record));
  }
  return table;
}

}  // namespace limewash::trainer
