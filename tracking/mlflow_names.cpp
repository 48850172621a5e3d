#include "tracking/mlflow_names.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace limewash::tracking {
namespace {

/// Whether "a//b", "./a", "a/.." or "/a" stand in it, which would name something else as a path.
bool is_plain_path(std::string_view key) {
  for (size_t begin = 0; begin <= key.size();) {
    const size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view part = key.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

}  // namespace

std::string key_problem(const std::string& key) {
  if (key.empty()) return "the name is empty";
  if (key.size() > kMaxKeyBytes) return "the name is longer than 250 bytes";
  const bool known = std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return c >= 0x80 || std::isalnum(c) != 0 ||
           std::string_view("_-. :/").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (!known) return "names consist of letters, digits and '_-. :/'";
  if (!is_plain_path(key)) return "as a path the name would mean another";
  return "";
}

std::string shorten(const std::string& value, size_t max_bytes, const std::string& whole_in) {
  if (value.size() <= max_bytes) return value;
  const std::string note =
      "... [" + std::to_string(value.size()) + " bytes, whole in " + whole_in + "]";
  size_t keep = max_bytes - std::min(max_bytes, note.size());
  while (keep > 0 && (static_cast<unsigned char>(value[keep]) & 0xC0) == 0x80) --keep;
  return value.substr(0, keep) + note;
}

std::string long_value_path(bool param, const std::string& key) {
  std::string name = key;
  std::replace(name.begin(), name.end(), '/', '~');
  return std::string(kLongValues) + (param ? "/params/" : "/tags/") + name + ".txt";
}

}  // namespace limewash::tracking
