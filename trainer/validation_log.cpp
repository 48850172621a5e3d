// RUN/validation_losses.csv.

#include <cstdlib>
#include <iomanip>
#include <sstream>
#include <utility>

#include "runtime/files.h"
#include "trainer/validation_loss.h"

namespace limewash::trainer {

namespace {

std::optional<ValidationLosses> parse_row(const std::string& line, size_t bins) {
  std::istringstream cells(line);
  std::vector<double> values;
  for (std::string cell; std::getline(cells, cell, ',');) {
    char* end = nullptr;
    values.push_back(std::strtod(cell.c_str(), &end));
    if (cell.empty() || *end != '\0') return std::nullopt;
  }
  if (values.size() != bins + 2 || !(values[0] >= 0 && values[0] <= 1e15)) return std::nullopt;
  return ValidationLosses{
      static_cast<int64_t>(values[0]), values[1], {values.begin() + 2, values.end()}};
}

}  // namespace

ValidationTable read_validation_losses(const std::filesystem::path& path) {
  ValidationTable table;
  if (!std::filesystem::exists(path)) return table;
  std::istringstream lines(read_file(path));
  std::string line;
  std::getline(lines, line);
  std::istringstream names(line);
  for (std::string name; std::getline(names, name, ',');) table.bins.push_back(name);
  if (table.bins.size() < 3) return {};
  table.bins.erase(table.bins.begin(), table.bins.begin() + 2);  // step, loss
  while (std::getline(lines, line)) {
    if (auto row = parse_row(line, table.bins.size())) table.rows.push_back(std::move(*row));
  }
  return table;
}

ValidationLog::ValidationLog(std::filesystem::path path,
                             std::vector<std::string> bins,
                             int64_t step)
    : path_(std::move(path)), bins_(std::move(bins)) {
  const ValidationTable earlier = read_validation_losses(path_);
  if (earlier.bins != bins_) return;
  for (const auto& row : earlier.rows) {
    if (row.step <= step) rows_.push_back(row);
  }
}

bool ValidationLog::has(int64_t step) const {
  return !rows_.empty() && rows_.back().step >= step;
}

void ValidationLog::append(const ValidationLosses& losses) {
  rows_.push_back(losses);
  std::ostringstream text;
  text << "step,loss";
  for (const auto& bin : bins_) text << ',' << bin;
  text << '\n' << std::setprecision(17);
  for (const auto& row : rows_) {
    text << row.step << ',' << row.loss;
    for (const double bin : row.bins) text << ',' << bin;
    text << '\n';
  }
  write_file_atomically(path_, text.str());
}

}  // namespace limewash::trainer
