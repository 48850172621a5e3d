#pragma once
// Comma-separated values as RFC 4180 defines them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace limewash::data {

struct CsvRow {
  std::vector<std::string> cells;
  int64_t line = 0;  ///< where it begins, from 1
};

/// Reads one row after the other. Cells in quotes may hold commas, line ends and doubled quotes;
/// lines end with LF or CRLF; empty lines are passed over.
class CsvReader {
 public:
  /// `text` must outlive the reader; `name` stands for the file in messages.
  CsvReader(std::string_view text, std::string name);
  /// The next row; nothing at the end. Throws InputError naming file and line: a quote within an
  /// unquoted cell, text behind a closing quote, a quote that is never closed, a row of more than
  /// a mebibyte, bytes that are no UTF-8.
  std::optional<CsvRow> next();

 private:
  [[noreturn]] void fail(int64_t line, const std::string& what) const;
  bool at_line_end() const;
  void pass_line_end();
  std::string quoted_cell(const CsvRow& row);
  std::string plain_cell();
  void check_size(size_t begin, const CsvRow& row) const;

  std::string_view text_;
  std::string name_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace limewash::data
