// Reading: Document, and the Fields that fill an options struct from it.

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>

#include "runtime/config.h"
#include "runtime/config_tree.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/nearest_word.h"
#include "runtime/yaml_scalar.h"

namespace limewash::config {

namespace {

// The keys that describe() named, to tell unknown ones.
struct KnownKey {
  std::string name;
  std::vector<KnownKey> children;
};

KnownKey& known_child(KnownKey& parent, const std::string& name) {
  for (KnownKey& child : parent.children) {
    if (child.name == name) return child;
  }
  parent.children.push_back({name, {}});
  return parent.children.back();
}

std::string joined(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// Whole paths of keys called `name` anywhere below.
void find_called(const KnownKey& parent,
                 const std::string& path,
                 const std::string& name,
                 std::vector<std::string>& found) {
  for (const KnownKey& child : parent.children) {
    const std::string child_path = joined(path, child.name);
    if (child.name == name) found.push_back(child_path);
    find_called(child, child_path, name, found);
  }
}

[[noreturn]] void fail_unknown(const KnownKey& root,
                               const KnownKey& parent,
                               const std::string& parent_path,
                               const Entry& entry) {
  std::vector<std::string> siblings, elsewhere;
  for (const KnownKey& child : parent.children) siblings.push_back(child.name);
  find_called(root, "", entry.key, elsewhere);
  std::string problem = "unknown key";
  if (const auto near = nearest_word(entry.key, siblings)) {
    problem += " (did you mean " + joined(parent_path, *near) + "?)";
  } else if (!elsewhere.empty()) {
    problem += " (did you mean " + elsewhere.front() + "?)";
  } else if (siblings.empty()) {
    problem += " (no key is known here)";
  } else {
    problem += " (known " + (parent_path.empty() ? "sections" : "keys of " + parent_path) + ": " +
               listed(siblings) + ")";
  }
  const Node& value = entry.value;
  if (value.overridden) throw ConfigError(value.place + ": " + problem);
  if (value.kind != Node::Kind::kMap) problem += "; its value is " + shown(value);
  throw ConfigError(value.place + ": " + shown(joined(parent_path, entry.key)) + ": " + problem);
}

void check_known(const KnownKey& root,
                 const KnownKey& parent,
                 const std::string& path,
                 const Node& node) {
  for (const Entry& entry : node.entries) {
    const auto known = std::find_if(parent.children.begin(),
                                    parent.children.end(),
                                    [&](const KnownKey& key) { return key.name == entry.key; });
    if (known == parent.children.end()) fail_unknown(root, parent, path, entry);
    check_known(root, *known, joined(path, entry.key), entry.value);
  }
  // The items of a list of sections share their keys; those of other lists have none.
  for (size_t i = 0; i < node.items.size(); ++i) {
    check_known(root, parent, path + "[" + std::to_string(i) + "]", node.items[i]);
  }
}

std::string text_of(int64_t value) {
  return std::to_string(value);
}

std::string text_of(double value) {
  return number_text(value);
}

template <class T>
std::string range_text(const Range<T>& range) {
  const bool low = range.low != Range<T>{}.low, high = range.high != Range<T>{}.high;
  if (low && high) return text_of(range.low) + " to " + text_of(range.high);
  if (low) return "at least " + text_of(range.low);
  if (high) return "at most " + text_of(range.high);
  return "";
}

template <class T>
std::string expectation(const std::string& kind, const Range<T>& range) {
  const std::string limits = range_text(range);
  return limits.empty() ? kind : kind + ", " + limits;
}

class Reader final : public Fields {
 public:
  explicit Reader(const Node& root) : sections_{{&root, &known_, ""}} {}

  using Fields::field;

  void field(const char* key, bool& value, const char*) override {
    const Node* node = scalar(key, "true or false");
    if (node == nullptr) return;
    const auto parsed = node->quoted ? std::nullopt : parse_bool(node->text);
    if (!parsed) fail_at(*node, path(key), "expected true or false");
    value = *parsed;
  }

  void field(const char* key, int64_t& value, const char*, Range<int64_t> range) override {
    const Node* node = scalar(key, expectation("a whole number", range));
    if (node == nullptr) return;
    const auto parsed = node->quoted ? std::nullopt : parse_integer(node->text);
    value = checked(parsed, range, *node, path(key), "a whole number");
  }

  void field(const char* key, double& value, const char*, Range<double> range) override {
    const Node* node = scalar(key, expectation("a number", range));
    if (node == nullptr) return;
    value = number(*node, range, path(key));
  }

  void field(const char* key, std::string& value, const char*) override {
    const Node* node = scalar(key, "text");
    if (node != nullptr) value = node->text;
  }

  void choice(const char* key,
              std::string& value,
              const std::vector<std::string>& choices,
              const char*) override {
    const std::string expected = "one of " + listed(choices);
    const Node* node = scalar(key, expected);
    if (node == nullptr) return;
    if (std::find(choices.begin(), choices.end(), node->text) == choices.end()) {
      const auto near = nearest_word(node->text, choices);
      fail_at(*node,
              path(key),
              "expected " + expected + (near ? " (did you mean " + *near + "?)" : ""));
    }
    value = node->text;
  }

  void field(const char* key, std::vector<std::string>& value, const char*) override {
    std::vector<std::string> read;
    const bool present = each(key, [&](const Node& item, const std::string& item_path) {
      if (item.kind != Node::Kind::kScalar) fail_at(item, item_path, "expected text");
      read.push_back(item.text);
    });
    if (present) value = std::move(read);
  }

  void field(const char* key,
             std::vector<double>& value,
             const char*,
             Range<double> range) override {
    std::vector<double> read;
    const bool present = each(key, [&](const Node& item, const std::string& item_path) {
      if (item.kind != Node::Kind::kScalar) {
        fail_at(item, item_path, "expected " + expectation("a number", range));
      }
      read.push_back(number(item, range, item_path));
    });
    if (present) value = std::move(read);
  }

  void field(const char* key, Map<int64_t>& value, const char*, Range<int64_t> range) override {
    read_map<int64_t>(key, value, [&](const Node& item, const std::string& item_path) {
      const auto parsed = item.kind == Node::Kind::kScalar && !item.quoted
                              ? parse_integer(item.text)
                              : std::nullopt;
      return checked(parsed, range, item, item_path, "a whole number");
    });
  }

  void field(const char* key, Map<double>& value, const char*, Range<double> range) override {
    read_map<double>(key, value, [&](const Node& item, const std::string& item_path) {
      if (item.kind != Node::Kind::kScalar) {
        fail_at(item, item_path, "expected " + expectation("a number", range));
      }
      return number(item, range, item_path);
    });
  }

  // Once every field was read.
  void check_unknown_keys() const {
    check_known(known_, known_, "", *sections_.front().node);
  }

 protected:
  bool begin_section(const char* key) override {
    const Node* node = find(key);
    // "training:" with every line below commented out is an empty section.
    if (node != nullptr && node->kind == Node::Kind::kNull) node = nullptr;
    if (node != nullptr && node->kind != Node::Kind::kMap) {
      fail_at(*node, path(key), "expected a section of keys");
    }
    const Section& parent = sections_.back();
    sections_.push_back({node, &known_child(*parent.known, key), path(key)});
    return true;
  }

  void end_section() override {
    sections_.pop_back();
  }

  std::optional<size_t> begin_list(const char* key) override {
    const Node* node = find(key);
    if (node != nullptr && node->kind != Node::Kind::kList) {
      fail_at(*node, path(key), "expected a list of sections (write [] for none)");
    }
    if (node != nullptr && node->items.size() > kMostSections) {
      fail_at(*node, path(key), "expected at most " + std::to_string(kMostSections) + " items");
    }
    lists_.push_back({node, &known_child(*sections_.back().known, key), path(key)});
    return node == nullptr ? std::nullopt : std::optional<size_t>(node->items.size());
  }

  void begin_item() override {
    List& list = lists_.back();
    const std::string item_path = list.path + "[" + std::to_string(list.next) + "]";
    const Node* item = list.node == nullptr ? nullptr : &list.node->items[list.next];
    if (item != nullptr && item->kind != Node::Kind::kMap) {
      fail_at(*item, item_path, "expected a section of keys");
    }
    ++list.next;
    sections_.push_back({item, list.known, item_path});
  }

  void end_item() override {
    sections_.pop_back();
  }

  void end_list() override {
    lists_.pop_back();
  }

 private:
  static constexpr size_t kMostSections = 256;

  struct Section {
    const Node* node;  // nullptr: the document does not have it
    KnownKey* known;
    std::string path;
  };

  struct List {
    const Node* node;
    KnownKey* known;  // of every item
    std::string path;
    size_t next = 0;
  };

  std::string path(const char* key) const {
    return joined(sections_.back().path, key);
  }

  const Node* find(const char* key) const {
    const Section& section = sections_.back();
    const Entry* entry = section.node == nullptr ? nullptr : section.node->find(key);
    return entry == nullptr ? nullptr : &entry->value;
  }

  // The key's value, or nullptr when it is absent. Anything but a single value is an error.
  const Node* scalar(const char* key, const std::string& expected) {
    known_child(*sections_.back().known, key);
    const Node* node = find(key);
    if (node == nullptr) return nullptr;
    if (node->kind == Node::Kind::kNull && expected == "text") {
      fail_at(*node, path(key), "expected text (write \"\" for none)");
    }
    if (node->kind != Node::Kind::kScalar) fail_at(*node, path(key), "expected " + expected);
    return node;
  }

  // Calls `visit` for each item of a list; a single value is a list of one.
  bool each(const char* key, const std::function<void(const Node&, const std::string&)>& visit) {
    known_child(*sections_.back().known, key);
    const Node* node = find(key);
    if (node == nullptr) return false;
    if (node->kind == Node::Kind::kMap || node->kind == Node::Kind::kNull) {
      fail_at(*node, path(key), "expected a list (write [] for none)");
    }
    if (node->kind == Node::Kind::kScalar) {
      visit(*node, path(key));
      return true;
    }
    for (size_t i = 0; i < node->items.size(); ++i) {
      visit(node->items[i], path(key) + "[" + std::to_string(i) + "]");
    }
    return true;
  }

  // Every key of a map is known, whatever it is.
  template <class T>
  void read_map(const char* key,
                Map<T>& value,
                const std::function<T(const Node&, const std::string&)>& read) {
    KnownKey& known = known_child(*sections_.back().known, key);
    const Node* node = find(key);
    if (node == nullptr) return;
    if (node->kind != Node::Kind::kMap) {
      fail_at(*node, path(key), "expected a map such as {name: 1} (write {} for none)");
    }
    Map<T> entries;
    for (const Entry& entry : node->entries) {
      known_child(known, entry.key);
      entries.emplace_back(entry.key, read(entry.value, path(key) + "." + entry.key));
    }
    value = std::move(entries);
  }

  template <class T>
  static T checked(const std::optional<T>& parsed,
                   const Range<T>& range,
                   const Node& node,
                   const std::string& path,
                   const std::string& kind) {
    if (!parsed) fail_at(node, path, "expected " + expectation(kind, range));
    // Written so that NaN fails.
    if (!(*parsed >= range.low && *parsed <= range.high)) {
      const std::string limits = range_text(range);
      fail_at(node, path, "expected " + (limits.empty() ? kind : limits));
    }
    return *parsed;
  }

  static double number(const Node& node, const Range<double>& range, const std::string& path) {
    const auto parsed = node.quoted ? std::nullopt : parse_number(node.text);
    const bool finite = parsed && std::isfinite(*parsed);
    return checked(parsed, range, node, path, !parsed || finite ? "a number" : "a finite number");
  }

  // Children are appended only below the last section, so no pointer of the ones around it moves.
  KnownKey known_;
  std::vector<Section> sections_;
  std::vector<List> lists_;
};

}  // namespace

struct Document::Impl {
  Node root;
};

Document::Document(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Document::~Document() = default;
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;

Document Document::load(const std::string& path, const std::vector<std::string>& overrides) {
  if (path.empty()) return parse("", "", overrides);
  std::string text;
  try {
    text = read_file(path, uint64_t{1} << 20);
  } catch (const InputError& error) {
    throw ConfigError(error.what());
  }
  return parse(text, path, overrides);
}

Document Document::parse(const std::string& text,
                         const std::string& name,
                         const std::vector<std::string>& overrides) {
  auto impl = std::make_unique<Impl>();
  impl->root = parse_tree(text, name);
  for (const std::string& one : overrides) apply_override(impl->root, one);
  return Document(std::move(impl));
}

std::unique_ptr<Fields> Document::make_reader() const {
  return std::make_unique<Reader>(impl_->root);
}

void Document::finish(Fields& reader) const {
  static_cast<Reader&>(reader).check_unknown_keys();
}

}  // namespace limewash::config
