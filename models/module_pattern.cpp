#include "models/module_pattern.h"

#include <cctype>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace limewash::models {

namespace {

constexpr size_t kLongestText = 256;

/// A pattern of literal characters and single wildcards, which is what most are: the path of a
/// module is one.
struct PlainPattern {
  std::string text;  // '\0' stands for any character
  bool whole = false;

  bool matches(std::string_view path) const {
    if (path.size() < text.size()) return false;
    const size_t begin = path.size() - text.size();
    if (begin > 0 && (whole || path[begin - 1] != '.')) return false;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\0' && text[i] != path[begin + i]) return false;
    }
    return true;
  }
};

/// Nothing when the text needs a regular expression.
std::optional<PlainPattern> plain_pattern(std::string_view text) {
  PlainPattern pattern;
  if (text.starts_with('^')) {
    pattern.whole = true;
    text.remove_prefix(1);
  }
  if (text.ends_with('$') && !text.ends_with("\\$")) text.remove_suffix(1);
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      if (++i == text.size() || std::isalnum(static_cast<unsigned char>(text[i]))) return {};
      pattern.text += text[i];
    } else if (c == '.') {
      pattern.text += '\0';
    } else if (std::string_view("[](){}*+?|^$").find(c) != std::string_view::npos) {
      return {};
    } else {
      pattern.text += c;
    }
  }
  return pattern;
}

void refuse_unbounded(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '{') {
      throw std::invalid_argument("repetition counts such as {2} are not read");
    } else if (text.substr(i).starts_with("(?") && !text.substr(i).starts_with("(?:")) {
      throw std::invalid_argument("groups that begin with (? are not read, except (?:");
    }
  }
}

}  // namespace

struct ModulePattern::Impl {
  std::optional<PlainPattern> plain;
  std::regex expression;
};

ModulePattern::ModulePattern(const std::string& text) : impl_(std::make_unique<Impl>()) {
  if (text.empty()) throw std::invalid_argument("it is empty");
  if (text.size() > kLongestText) {
    throw std::invalid_argument("it is longer than " + std::to_string(kLongestText) +
                                " characters");
  }
  if (text.find('\0') != std::string::npos) throw std::invalid_argument("it has a zero character");
  impl_->plain = plain_pattern(text);
  if (impl_->plain) return;
  refuse_unbounded(text);
  try {
    // __polynomial walks all alternatives at once: no pattern can take exponential time.
    impl_->expression = std::regex(
        "(?:.*\\.)?(?:" + text + ")",
        std::regex::ECMAScript | std::regex::nosubs | std::regex_constants::__polynomial);
  } catch (const std::regex_error& error) {
    throw std::invalid_argument(std::string("it is no regular expression: ") + error.what());
  }
}

ModulePattern::~ModulePattern() = default;
ModulePattern::ModulePattern(ModulePattern&&) noexcept = default;
ModulePattern& ModulePattern::operator=(ModulePattern&&) noexcept = default;

bool ModulePattern::matches(const std::string& path) const {
  return impl_->plain ? impl_->plain->matches(path) : std::regex_match(path, impl_->expression);
}

bool ModulePattern::is_expression() const {
  return !impl_->plain;
}

}  // namespace limewash::models
