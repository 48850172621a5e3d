#include "runtime/config_tree.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "runtime/error.h"
#include "runtime/yaml_scalar.h"

namespace limewash::config {

namespace {

constexpr size_t kMostBytes = size_t{1} << 20;
constexpr size_t kMostDepth = 32;
// Bytes that a document may come to once its aliases are expanded.
constexpr size_t kMostCost = size_t{16} << 20;
constexpr size_t kCostPerNode = 256;

size_t cost_of(const Node& node) {
  size_t cost = kCostPerNode + node.text.size() + node.place.size();
  for (const Node& item : node.items) cost += cost_of(item);
  for (const Entry& entry : node.entries) cost += entry.key.size() + cost_of(entry.value);
  return cost;
}

size_t depth_of(const Node& node) {
  size_t deepest = 0;
  for (const Node& item : node.items) deepest = std::max(deepest, depth_of(item));
  for (const Entry& entry : node.entries) deepest = std::max(deepest, depth_of(entry.value));
  return deepest + 1;
}

// Builds the tree out of the parser's events. An alias is copied where it is used, within the
// budget.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::string name) : name_(std::move(name)) {}

  std::optional<Node> take() {
    return std::move(root_);
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(mark, Node::Kind::kNull), mark, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) fail(mark, "an alias inside of what it stands for");
    if (open_.size() + depth_of(found->second) > kMostDepth) fail_depth(mark);
    spend(mark, cost_of(found->second));
    add(found->second, mark, 0);
  }

  void OnScalar(const YAML::Mark& mark,
                const std::string& tag,
                YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = make(mark, Node::Kind::kScalar);
    node.text = value;
    node.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    const bool known = node.quoted || tag.empty() || tag == "?" || tag == "tag:yaml.org,2002:int" ||
                       tag == "tag:yaml.org,2002:float" || tag == "tag:yaml.org,2002:bool";
    if (!known) fail(mark, "the tag " + shown(tag) + " is not known here");
    spend(mark, value.size());
    add(std::move(node), mark, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark,
                       const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    begin(Node::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override {
    end();
  }
  void OnMapStart(const YAML::Mark& mark,
                  const std::string& tag,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    begin(Node::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override {
    end();
  }

 private:
  struct Open {
    Node node;
    YAML::Mark mark;
    YAML::anchor_t anchor = 0;
    std::optional<std::string> key;
    std::vector<std::pair<Node, YAML::Mark>> merges;
  };

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& problem) const {
    throw ConfigError(name_ + ":" + std::to_string(mark.line + 1) + ":" +
                      std::to_string(mark.column + 1) + ": " + problem);
  }
  [[noreturn]] void fail_depth(const YAML::Mark& mark) const {
    fail(mark, "nested deeper than " + std::to_string(kMostDepth) + " levels");
  }

  Node make(const YAML::Mark& mark, Node::Kind kind) const {
    Node node;
    node.kind = kind;
    node.place = name_ + ":" + std::to_string(mark.line + 1);
    return node;
  }

  void spend(const YAML::Mark& mark, size_t cost) {
    cost_ += cost;
    if (cost_ > kMostCost) fail(mark, "aliases and values come to more than 16 MiB");
  }

  void begin(Node::Kind kind,
             const YAML::Mark& mark,
             const std::string& tag,
             YAML::anchor_t anchor) {
    const char* own_tag =
        kind == Node::Kind::kMap ? "tag:yaml.org,2002:map" : "tag:yaml.org,2002:seq";
    if (!tag.empty() && tag != "?" && tag != own_tag) {
      fail(mark, "the tag " + shown(tag) + " is not known here");
    }
    if (open_.size() + 1 > kMostDepth) fail_depth(mark);
    if (expects_key()) fail(mark, "a key must be a single word (is a bracket left open?)");
    open_.push_back({make(mark, kind), mark, anchor, std::nullopt, {}});
  }

  void end() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    for (const auto& [source, mark] : closed.merges) merge(closed.node, source, mark);
    add(std::move(closed.node), closed.mark, closed.anchor);
  }

  bool expects_key() const {
    return !open_.empty() && open_.back().node.kind == Node::Kind::kMap && !open_.back().key;
  }

  void add(Node node, const YAML::Mark& mark, YAML::anchor_t anchor) {
    spend(mark, kCostPerNode);
    if (anchor != 0) anchors_.insert_or_assign(anchor, node);
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == Node::Kind::kList) {
      parent.node.items.push_back(std::move(node));
      return;
    }
    if (!parent.key) {
      if (node.kind != Node::Kind::kScalar)
        fail(mark, "a key must be a single word (is a bracket left open?)");
      const Entry* earlier = parent.node.find(node.text);
      if (earlier != nullptr) {
        fail(mark, shown(node.text) + ": duplicate key, first at " + earlier->value.place);
      }
      parent.key = std::move(node.text);
      return;
    }
    const std::string key = *std::exchange(parent.key, std::nullopt);
    if (key == "<<") {
      parent.merges.emplace_back(std::move(node), mark);
    } else {
      parent.node.entries.push_back({key, std::move(node)});
    }
  }

  // "<<: *defaults" gives the keys that the map does not state itself; of several, the first wins.
  void merge(Node& target, const Node& source, const YAML::Mark& mark) {
    if (source.kind == Node::Kind::kList) {
      for (const Node& item : source.items) {
        if (item.kind != Node::Kind::kMap) fail(mark, "<< takes maps");
        merge(target, item, mark);
      }
      return;
    }
    if (source.kind != Node::Kind::kMap) fail(mark, "<< takes a map or a list of maps");
    for (const Entry& entry : source.entries) {
      if (target.find(entry.key) != nullptr) continue;
      spend(mark, cost_of(entry.value));
      target.entries.push_back(entry);
    }
  }

  std::string name_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Node> anchors_;
  std::optional<Node> root_;
  size_t cost_ = 0;
};

void check_text(const std::string& text, const std::string& name) {
  if (text.size() > kMostBytes) throw ConfigError(name + ": larger than 1 MiB");
  int64_t line = 0;
  if (!is_clean_text(text, line)) {
    throw ConfigError(name + ":" + std::to_string(line) + ": not UTF-8 text");
  }
}

// The events of the first document; a second one is an error.
std::optional<Node> parse_document(const std::string& text, const std::string& name) {
  check_text(text, name);
  std::istringstream stream(text);
  try {
    TreeBuilder builder(name);
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return std::nullopt;
    std::optional<Node> root = builder.take();
    TreeBuilder second(name);
    if (parser.HandleNextDocument(second)) {
      throw ConfigError(name + ": more than one YAML document");
    }
    return root;
  } catch (const YAML::Exception& error) {
    if (error.mark.is_null()) throw ConfigError(name + ": broken YAML: " + error.msg);
    throw ConfigError(name + ":" + std::to_string(error.mark.line + 1) + ":" +
                      std::to_string(error.mark.column + 1) + ": broken YAML: " + error.msg);
  }
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

void mark_overridden(Node& node, const std::string& place) {
  node.place = place;
  node.overridden = true;
  for (Node& item : node.items) mark_overridden(item, place);
  for (Entry& entry : node.entries) mark_overridden(entry.value, place);
}

// Lists, maps and quoted text are YAML; the rest is taken as it stands, so that "*attn*" and "C: x"
// need no quotes.
Node parse_value(const std::string& text, const std::string& place) {
  Node node;
  if (!text.empty() && (text[0] == '[' || text[0] == '{' || text[0] == '"' || text[0] == '\'')) {
    node = parse_document(text, place).value_or(Node{});
    // Without braces a map is a mistake: "[a]: b" is one too.
    if (node.kind == Node::Kind::kMap && text[0] != '{') {
      throw ConfigError(place + ": expected one value or a list");
    }
  } else if (text.empty()) {
    node.kind = Node::Kind::kScalar;
    node.quoted = true;
  } else {
    node.kind = is_null_text(text) ? Node::Kind::kNull : Node::Kind::kScalar;
    node.text = text;
  }
  mark_overridden(node, place);
  return node;
}

}  // namespace

const Entry* Node::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

Entry* Node::find(std::string_view key) {
  return const_cast<Entry*>(std::as_const(*this).find(key));
}

Node parse_tree(const std::string& text, const std::string& name) {
  std::optional<Node> root = parse_document(text, name);
  if (!root || root->kind == Node::Kind::kNull) return Node{};
  if (root->kind != Node::Kind::kMap) {
    throw ConfigError(root->place + ": expected sections such as 'training:', got " + shown(*root));
  }
  return std::move(*root);
}

void apply_override(Node& root, const std::string& override_text) {
  const std::string place = "--set " + shown(override_text);
  check_text(override_text, place);
  const size_t equals = override_text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw ConfigError(place + ": expected section.key=value");
  }
  const std::string path = trimmed(override_text.substr(0, equals));
  Node* section = &root;
  size_t begin = 0, depth = 0;
  for (;;) {
    const size_t dot = path.find('.', begin);
    const std::string key = path.substr(begin, dot == std::string::npos ? dot : dot - begin);
    if (key.empty()) throw ConfigError(place + ": expected section.key=value");
    if (++depth > kMostDepth) throw ConfigError(place + ": too many sections in one key");
    Entry* entry = section->find(key);
    if (entry == nullptr) {
      section->entries.push_back({key, Node{}});
      entry = &section->entries.back();
      entry->value.place = place;
      entry->value.overridden = true;
    }
    if (dot == std::string::npos) {
      if (!entry->value.entries.empty()) {
        throw ConfigError(place + ": " + path + " is a section; set its keys one by one");
      }
      entry->value = parse_value(trimmed(override_text.substr(equals + 1)), place);
      return;
    }
    if (entry->value.kind == Node::Kind::kNull) entry->value.kind = Node::Kind::kMap;
    if (entry->value.kind != Node::Kind::kMap) {
      throw ConfigError(place + ": " + path.substr(0, dot) + " is a value, not a section (" +
                        entry->value.place + ")");
    }
    section = &entry->value;
    begin = dot + 1;
  }
}

std::string shown(std::string_view text) {
  constexpr size_t kLongest = 120;
  std::string line;
  for (const char c : text) {
    // Cut before a character, never inside of one.
    if (line.size() >= kLongest && (static_cast<unsigned char>(c) & 0xC0) != 0x80) {
      return line + "...";
    }
    line += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  return line;
}

std::string shown(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kMap:
      return "a section";
    case Node::Kind::kScalar:
      return node.quoted ? std::string(1, '"') + shown(node.text) + '"' : shown(node.text);
    case Node::Kind::kList:
      break;
  }
  std::string line = "[";
  for (const Node& item : node.items) {
    if (line.size() > 1) line += ", ";
    if (line.size() > 120) return line + "...]";
    line += shown(item);
  }
  return line + "]";
}

void fail_at(const Node& node, const std::string& path, const std::string& problem) {
  if (node.overridden) throw ConfigError(node.place + ": " + problem);
  throw ConfigError(node.place + ": " + path + " = " + shown(node) + ": " + problem);
}

}  // namespace limewash::config
