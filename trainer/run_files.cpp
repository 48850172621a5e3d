#include "trainer/run_files.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::trainer {

namespace {

constexpr const char* kHeader = "step,loss,noise,color,learning_rate,gradient_norm\n";

/// A whole line, or nothing for a torn one.
bool parse_record(const std::string& line, StepRecord& record) {
  long long step = 0;
  int used = 0;
  const int fields = std::sscanf(line.c_str(),
                                 "%lld,%lf,%lf,%lf,%lf,%lf%n",
                                 &step,
                                 &record.loss,
                                 &record.noise,
                                 &record.color,
                                 &record.learning_rate,
                                 &record.gradient_norm,
                                 &used);
  record.step = step;
  return fields == 6 && static_cast<size_t>(used) == line.size();
}

}  // namespace

LossLog::LossLog(const std::filesystem::path& path, int64_t step) : path_(path) {
  std::string kept = kHeader;
  if (step > 0 && std::filesystem::exists(path)) {
    std::istringstream lines(read_file(path));
    std::string line;
    std::getline(lines, line);
    StepRecord record;
    while (std::getline(lines, line) && !lines.eof()) {
      if (parse_record(line, record) && record.step <= step) kept += line + "\n";
    }
  }
  write_file_atomically(path, kept);
  file_ = std::fopen(path.c_str(), "ae");
  if (file_ == nullptr) throw InputError(path.string() + ": can't open: " + std::strerror(errno));
}

LossLog::~LossLog() {
  if (file_ != nullptr) std::fclose(file_);
}

void LossLog::append(const StepRecord& record) {
  const int written = std::fprintf(file_,
                                   "%lld,%.17g,%.17g,%.17g,%.17g,%.17g\n",
                                   static_cast<long long>(record.step),
                                   record.loss,
                                   record.noise,
                                   record.color,
                                   record.learning_rate,
                                   record.gradient_norm);
  if (written < 0) throw InputError(path_.string() + ": can't write: " + std::strerror(errno));
}

void LossLog::sync() {
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) {
    throw InputError(path_.string() + ": can't write: " + std::strerror(errno));
  }
}

std::vector<StepRecord> read_losses(const std::filesystem::path& path) {
  std::vector<StepRecord> records;
  if (!std::filesystem::exists(path)) return records;
  std::istringstream lines(read_file(path));
  std::string line;
  std::getline(lines, line);
  StepRecord record;
  while (std::getline(lines, line)) {
    if (parse_record(line, record)) records.push_back(record);
  }
  return records;
}

}  // namespace limewash::trainer
