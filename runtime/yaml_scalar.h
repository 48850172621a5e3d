#pragma once
// How single YAML values are read and written: the core schema of YAML 1.2, without its octal and
// hexadecimal integers.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace limewash::config {

/// "~", "null" or nothing.
bool is_null_text(std::string_view text);
/// "true" or "false", also capitalised.
std::optional<bool> parse_bool(std::string_view text);
/// A decimal number without leading zeros, ".inf" or ".nan". Nothing when it overflows a double.
std::optional<double> parse_number(std::string_view text);
/// A whole number: decimal digits, or a number such as 1e5 whose value is whole and exact.
std::optional<int64_t> parse_integer(std::string_view text);
/// Whether `text` is UTF-8 without control characters other than tab and line end. Otherwise `line`
/// (from 1) says where it is not.
bool is_clean_text(std::string_view text, int64_t& line);

/// The shortest decimal number that reads back to the same double.
std::string number_text(double value);
/// `text` as a YAML scalar that reads back as the same string: quoted only when it must be.
std::string string_text(std::string_view text);

}  // namespace limewash::config
