#include "data/csv.h"

#include <algorithm>
#include <utility>

#include "data/caption.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

constexpr size_t kMaxRowBytes = size_t{1} << 20;

}  // namespace

CsvReader::CsvReader(std::string_view text, std::string name)
    : text_(text), name_(std::move(name)) {}

std::optional<CsvRow> CsvReader::next() {
  while (at_ < text_.size() && at_line_end()) pass_line_end();
  if (at_ >= text_.size()) return std::nullopt;
  CsvRow row;
  row.line = line_;
  const size_t begin = at_;
  while (true) {
    const bool quoted = at_ < text_.size() && text_[at_] == '"';
    row.cells.push_back(quoted ? quoted_cell(row) : plain_cell());
    check_size(begin, row);
    if (at_ < text_.size() && text_[at_] == ',') {
      ++at_;
      continue;
    }
    pass_line_end();
    return row;
  }
}

void CsvReader::fail(int64_t line, const std::string& what) const {
  throw InputError(name_ + ":" + std::to_string(line) + ": " + what);
}

bool CsvReader::at_line_end() const {
  return text_[at_] == '\n' ||
         (text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n'));
}

void CsvReader::pass_line_end() {
  if (at_ < text_.size() && text_[at_] == '\r') ++at_;
  if (at_ < text_.size() && text_[at_] == '\n') ++at_;
  ++line_;
}

std::string CsvReader::quoted_cell(const CsvRow& row) {
  const size_t begin = at_;
  const int64_t opened = line_;
  std::string cell;
  ++at_;
  while (true) {
    const size_t quote = text_.find('"', at_);
    if (quote == std::string_view::npos) fail(opened, "a quote is opened and never closed");
    const std::string_view part = text_.substr(at_, quote - at_);
    cell += part;
    line_ += std::count(part.begin(), part.end(), '\n');
    at_ = quote + 1;
    check_size(begin, row);
    if (at_ >= text_.size() || text_[at_] != '"') break;
    cell += '"';
    ++at_;
  }
  if (at_ < text_.size() && text_[at_] != ',' && !at_line_end())
    fail(line_, "text follows a closing quote; quotes within a quoted cell are doubled");
  return cell;
}

std::string CsvReader::plain_cell() {
  const size_t begin = at_;
  while (at_ < text_.size() && text_[at_] != ',' && !at_line_end()) {
    if (text_[at_] == '"') fail(line_, "a quote stands within a cell that does not begin with one");
    ++at_;
  }
  return std::string(text_.substr(begin, at_ - begin));
}

void CsvReader::check_size(size_t begin, const CsvRow& row) const {
  if (at_ - begin > kMaxRowBytes)
    fail(row.line, "the row has more than " + std::to_string(kMaxRowBytes) + " bytes");
  if (!row.cells.empty() && !is_utf8(row.cells.back())) fail(line_, "is no valid UTF-8");
}

}  // namespace limewash::data
