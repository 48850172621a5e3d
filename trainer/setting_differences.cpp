#include "trainer/setting_differences.h"

#include <set>

#include "runtime/config_tree.h"

namespace limewash::trainer {

namespace {

void flatten(const config::Node& node,
             const std::string& key,
             std::map<std::string, std::string>& out) {
  switch (node.kind) {
    case config::Node::Kind::kNull:
      out[key] = "null";
      return;
    case config::Node::Kind::kScalar:
      out[key] = node.text;
      return;
    case config::Node::Kind::kList: {
      const bool sections =
          !node.items.empty() && node.items.front().kind == config::Node::Kind::kMap;
      for (size_t i = 0; sections && i < node.items.size(); ++i)
        flatten(node.items[i], key + "[" + std::to_string(i) + "]", out);
      if (sections) return;
      std::string text;
      for (const config::Node& item : node.items)
        text += (text.empty() ? "" : ", ") + config::shown(item);
      out[key] = "[" + text + "]";
      return;
    }
    case config::Node::Kind::kMap:
      if (node.entries.empty() && !key.empty()) out[key] = "{}";
      for (const config::Entry& entry : node.entries)
        flatten(entry.value, key.empty() ? entry.key : key + "." + entry.key, out);
  }
}

std::optional<std::string> value_of(const std::map<std::string, std::string>& settings,
                                    const std::string& key) {
  const auto found = settings.find(key);
  return found == settings.end() ? std::nullopt : std::optional<std::string>(found->second);
}

}  // namespace

std::map<std::string, std::string> settings_of(const std::string& yaml, const std::string& name) {
  std::map<std::string, std::string> settings;
  flatten(config::parse_tree(yaml, name), "", settings);
  return settings;
}

std::vector<SettingDifference> setting_differences(
    const std::map<std::string, std::string>& then,
    const std::map<std::string, std::string>& now,
    const std::map<std::string, std::string>& defaults) {
  std::set<std::string> keys;
  for (const auto& [key, value] : then) keys.insert(key);
  for (const auto& [key, value] : now) keys.insert(key);
  std::vector<SettingDifference> differences;
  for (const auto& key : keys) {
    SettingDifference difference{key, value_of(then, key), value_of(now, key)};
    if (!difference.then) difference.then = value_of(defaults, key);
    if (difference.then != difference.now) differences.push_back(std::move(difference));
  }
  return differences;
}

std::string differences_text(const std::vector<SettingDifference>& differences) {
  std::string text;
  const auto shown = [](const std::optional<std::string>& value) {
    return value ? (value->empty() ? "''" : config::shown(*value)) : "nothing";
  };
  for (const auto& [key, then, now] : differences) {
    text += (text.empty() ? "" : "; ") + key + ": " + shown(then) + " in the checkpoint, " +
            shown(now) + " now";
  }
  return text;
}

}  // namespace limewash::trainer
