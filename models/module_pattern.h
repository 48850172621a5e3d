#pragma once
// Patterns that pick modules by their path, as peft's LoraConfig has them.

#include <memory>
#include <string>

namespace limewash::models {

/// One pattern: it picks a module when it matches the whole path or what follows a dot of it, that
/// is, as Python's `re.match(r"(.*\.)?(PATTERN)$", path)`, which peft's rank_pattern and
/// alpha_pattern use. A plain name such as `to_q` or `attn2.to_out.0` therefore picks the modules
/// whose path ends in it. `^` at the front takes whole paths only.
///
/// Read in time that grows with pattern times path, whatever the pattern: repetition counts `{n}`,
/// groups with `(?` other than `(?:`, and backreferences are refused.
class ModulePattern {
 public:
  /// Throws std::invalid_argument saying what is wrong with the text.
  explicit ModulePattern(const std::string& text);
  ~ModulePattern();
  ModulePattern(ModulePattern&&) noexcept;
  ModulePattern& operator=(ModulePattern&&) noexcept;

  bool matches(const std::string& path) const;
  /// Whether it takes more than comparing characters.
  bool is_expression() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace limewash::models
