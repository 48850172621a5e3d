#pragma once
// A YAML document as a plain tree in which every value knows where it was written.

#include <string>
#include <string_view>
#include <vector>

namespace limewash::config {

struct Entry;

struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kMap;
  std::string text;         // of a scalar
  bool quoted = false;      // a quoted scalar is text, whatever it looks like
  std::string place;        // "configs/demo.yaml:12", or "--set training.steps=5"
  bool overridden = false;  // place is an override
  std::vector<Node> items;
  std::vector<Entry> entries;

  /// The entry of `key`, or nullptr.
  const Entry* find(std::string_view key) const;
  Entry* find(std::string_view key);
};

struct Entry {
  std::string key;
  Node value;
};

/// Parse one document whose root is a map (or nothing). `name` stands for the file in messages.
/// Throws ConfigError; bounds size, depth, and what aliases expand to.
Node parse_tree(const std::string& text, const std::string& name);

/// Lay `--set` overrides over the tree, in order.
void apply_override(Node& root, const std::string& override_text);

/// A value for a message: one line, shortened.
std::string shown(const Node& node);
/// Text for a message: control characters replaced, shortened.
std::string shown(std::string_view text);

/// "PLACE: path = value: problem", or "--set path=value: problem".
[[noreturn]] void fail_at(const Node& node, const std::string& path, const std::string& problem);

}  // namespace limewash::config
