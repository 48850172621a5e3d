// Writing: the Fields that note an options struct as YAML and as flat pairs.

#include <utility>

#include "runtime/config.h"
#include "runtime/yaml_scalar.h"

namespace limewash::config {

class Writer final : public Fields {
 public:
  using Fields::field;

  void field(const char* key, bool& value, const char*) override {
    write(key, value ? "true" : "false");
  }
  void field(const char* key, int64_t& value, const char*, Range<int64_t>) override {
    write(key, std::to_string(value));
  }
  void field(const char* key, double& value, const char*, Range<double>) override {
    write(key, number_text(value));
  }
  void field(const char* key, std::string& value, const char*) override {
    write_line(key, string_text(value));
    pairs_.emplace_back(path(key), value);
  }
  void choice(const char* key,
              std::string& value,
              const std::vector<std::string>&,
              const char* help) override {
    field(key, value, help);
  }
  void field(const char* key, std::vector<std::string>& value, const char*) override {
    std::vector<std::string> items;
    for (const std::string& one : value) items.push_back(string_text(one));
    write_list(key, items);
  }
  void field(const char* key, std::vector<double>& value, const char*, Range<double>) override {
    std::vector<std::string> items;
    for (const double one : value) items.push_back(number_text(one));
    write_list(key, items);
  }

  void field(const char* key, Map<int64_t>& value, const char*, Range<int64_t>) override {
    write_map(key, value, [](int64_t one) { return std::to_string(one); });
  }
  void field(const char* key, Map<double>& value, const char*, Range<double>) override {
    write_map(key, value, [](double one) { return number_text(one); });
  }

  const std::string& yaml() const {
    return yaml_;
  }
  const std::vector<std::pair<std::string, std::string>>& pairs() const {
    return pairs_;
  }

 protected:
  bool begin_section(const char* key) override {
    yaml_ += indent() + key + ":\n";
    sections_.push_back({path(key), yaml_.size()});
    return true;
  }
  void end_section() override {
    // Nothing was written since: without the braces it would be null.
    if (yaml_.size() == sections_.back().begin) yaml_.insert(yaml_.size() - 1, " {}");
    sections_.pop_back();
  }
  std::optional<size_t> begin_list(const char* key) override {
    begin_section(key);
    lists_.push_back(0);
    return std::nullopt;
  }
  void begin_item() override {
    sections_.push_back(
        {sections_.back().path + "[" + std::to_string(lists_.back()++) + "]", yaml_.size()});
  }
  void end_item() override {
    // The dash stands two places before the item's keys.
    const size_t begin = sections_.back().begin;
    sections_.pop_back();
    yaml_[begin + indent().size()] = '-';
  }
  void end_list() override {
    if (lists_.back() == 0) {
      yaml_.insert(yaml_.size() - 1, " []");
      pairs_.emplace_back(sections_.back().path, "[]");
    }
    lists_.pop_back();
    sections_.pop_back();
  }

 private:
  struct Section {
    std::string path;
    size_t begin;
  };

  std::string indent() const {
    return std::string(2 * sections_.size(), ' ');
  }
  std::string path(const char* key) const {
    return sections_.empty() ? key : sections_.back().path + "." + key;
  }
  void write_line(const char* key, const std::string& text) {
    yaml_ += indent() + key + ": " + text + "\n";
  }
  void write(const char* key, const std::string& text) {
    write_line(key, text);
    pairs_.emplace_back(path(key), text);
  }
  void write_list(const char* key, const std::vector<std::string>& items) {
    std::string text = "[";
    for (const std::string& item : items) text += (text.size() > 1 ? ", " : "") + item;
    write(key, text + "]");
  }
  template <class T, class ToText>
  void write_map(const char* key, const Map<T>& entries, const ToText& to_text) {
    std::string text = "{";
    for (const auto& [name, one] : entries) {
      text += (text.size() > 1 ? ", " : "") + string_text(name) + ": " + to_text(one);
    }
    write(key, text + "}");
  }

  std::string yaml_;
  std::vector<std::pair<std::string, std::string>> pairs_;
  std::vector<Section> sections_;
  std::vector<size_t> lists_;  // items written so far
};

std::unique_ptr<Fields> make_writer() {
  return std::make_unique<Writer>();
}

std::string written_yaml(Fields& writer) {
  return static_cast<Writer&>(writer).yaml();
}

std::vector<std::pair<std::string, std::string>> written_pairs(Fields& writer) {
  return static_cast<Writer&>(writer).pairs();
}

}  // namespace limewash::config
