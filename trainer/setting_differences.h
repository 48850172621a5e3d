#pragma once
// In which settings two resolved configurations differ.

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace limewash::trainer {

/// "section.key" -> value of a YAML text, lists on one line. Any version's keys are taken as they
/// are. Throws ConfigError for broken YAML; `name` stands for the text in messages.
std::map<std::string, std::string> settings_of(const std::string& yaml, const std::string& name);

struct SettingDifference {
  std::string key;
  std::optional<std::string> then, now;  ///< nothing where a side does not have the key
};

/// Every key whose values differ, by name. A key that `then` does not have, which an older version
/// wrote, counts as the value of `defaults`.
std::vector<SettingDifference> setting_differences(
    const std::map<std::string, std::string>& then,
    const std::map<std::string, std::string>& now,
    const std::map<std::string, std::string>& defaults = {});

/// "optimizer.learning_rate: 0.001 in the checkpoint, 0.0005 now; ...".
std::string differences_text(const std::vector<SettingDifference>& differences);

}  // namespace limewash::trainer
