#include "models/strict_json.h"

#include <cstdio>
#include <set>
#include <vector>

#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::models {

namespace {

constexpr int kMaxDepth = 32;

std::string short_dump(const nlohmann::json& value) {
  return printable(value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
}

}  // namespace

std::string printable(const std::string& name) {
  constexpr size_t kLongest = 160;
  std::string shown;
  for (const char c : name) {
    if (shown.size() >= kLongest) {
      shown += "...";
      break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      shown += escaped;
    } else {
      shown += c;
    }
  }
  return shown;
}

nlohmann::json read_json_object(const std::filesystem::path& path, uint64_t max_bytes) {
  return parse_json_object(read_file(path, max_bytes), path);
}

nlohmann::json parse_json_object(std::string_view text, const std::filesystem::path& path) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (depth > kMaxDepth) {
      throw InputError(path.string() + ": JSON is nested deeper than " + std::to_string(kMaxDepth));
    }
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
      throw InputError(path.string() + ": the key '" + printable(parsed.get<std::string>()) +
                       "' stands twice");
    }
    return true;
  };
  nlohmann::json object;
  try {
    object = nlohmann::json::parse(text, check);
  } catch (const nlohmann::json::exception& error) {
    throw InputError(path.string() + ": broken JSON: " + printable(error.what()));
  }
  if (!object.is_object()) throw InputError(path.string() + ": expected a JSON object");
  return object;
}

ModelConfigFile::ModelConfigFile(const std::filesystem::path& path)
    : path_(path), object_(read_json_object(path)) {}

void ModelConfigFile::reject(const std::string& key, const std::string& expected) const {
  const auto found = object_.find(key);
  const std::string value = found == object_.end() ? "missing" : short_dump(*found);
  throw InputError(path_.string() + ": " + printable(key) + " is " + value + ": expected " +
                   expected);
}

const nlohmann::json* ModelConfigFile::find(const std::string& key, bool required) {
  known_.insert(key);
  const auto found = object_.find(key);
  if (found == object_.end() || found->is_null()) {
    if (required) reject(key, "a value");
    return nullptr;
  }
  return &*found;
}

int64_t ModelConfigFile::checked_integer(const nlohmann::json& value,
                                         const std::string& key,
                                         config::Range<int64_t> range) const {
  const std::string expected =
      "integers from " + std::to_string(range.low) + " to " + std::to_string(range.high);
  if (!value.is_number()) reject(key, expected);
  // Whole floats such as 1.0 pass: Python writes them for integers now and then.
  const double number = value.get<double>();
  if (!(number >= static_cast<double>(range.low) && number <= static_cast<double>(range.high))) {
    reject(key, expected);
  }
  const auto whole = static_cast<int64_t>(number);
  if (static_cast<double>(whole) != number) reject(key, expected);
  return whole;
}

int64_t ModelConfigFile::integer(const std::string& key,
                                 std::optional<int64_t> fallback,
                                 config::Range<int64_t> range) {
  const auto* value = find(key, !fallback);
  return value ? checked_integer(*value, key, range) : *fallback;
}

double ModelConfigFile::number(const std::string& key,
                               std::optional<double> fallback,
                               config::Range<double> range) {
  const auto* value = find(key, !fallback);
  if (!value) return *fallback;
  if (!value->is_number()) reject(key, "a number");
  const double number = value->get<double>();
  if (!(number >= range.low && number <= range.high)) {
    reject(key, "a number from " + std::to_string(range.low) + " to " + std::to_string(range.high));
  }
  return number;
}

bool ModelConfigFile::boolean(const std::string& key, std::optional<bool> fallback) {
  const auto* value = find(key, !fallback);
  if (!value) return *fallback;
  if (!value->is_boolean()) reject(key, "true or false");
  return value->get<bool>();
}

std::string ModelConfigFile::text(const std::string& key, std::optional<std::string> fallback) {
  const auto* value = find(key, !fallback);
  if (!value) return *fallback;
  if (!value->is_string()) reject(key, "text");
  return value->get<std::string>();
}

std::vector<int64_t> ModelConfigFile::integers(const std::string& key,
                                               std::optional<int64_t> fallback,
                                               size_t count,
                                               config::Range<int64_t> range) {
  const auto* value = find(key, !fallback);
  if (!value) return std::vector<int64_t>(count, *fallback);
  if (!value->is_array()) return std::vector<int64_t>(count, checked_integer(*value, key, range));
  if (value->size() != count) reject(key, std::to_string(count) + " numbers, one a block");
  std::vector<int64_t> list;
  for (const auto& element : *value) list.push_back(checked_integer(element, key, range));
  return list;
}

std::vector<int64_t> ModelConfigFile::integer_list(const std::string& key,
                                                   config::Range<int64_t> range) {
  const auto* value = find(key, true);
  if (!value->is_array() || value->empty() || value->size() > 64) {
    reject(key, "a list of 1 to 64 numbers");
  }
  std::vector<int64_t> list;
  for (const auto& element : *value) list.push_back(checked_integer(element, key, range));
  return list;
}

std::vector<std::string> ModelConfigFile::text_list(const std::string& key) {
  const auto* value = find(key, true);
  if (!value->is_array() || value->empty() || value->size() > 64) {
    reject(key, "a list of 1 to 64 words");
  }
  std::vector<std::string> list;
  for (const auto& element : *value) {
    if (!element.is_string()) reject(key, "a list of words");
    list.push_back(element.get<std::string>());
  }
  return list;
}

void ModelConfigFile::require(const std::string& key,
                              std::initializer_list<nlohmann::json> supported) {
  const auto* value = find(key, false);
  if (!value) return;
  std::string names;
  for (const auto& candidate : supported) {
    if (*value == candidate) return;
    names += (names.empty() ? "" : " or ") + candidate.dump();
  }
  reject(key, names + " (limewash builds no other kind)");
}

void ModelConfigFile::ignore(std::initializer_list<const char*> keys) {
  known_.insert(keys.begin(), keys.end());
}

void ModelConfigFile::finish() const {
  for (const auto& [key, value] : object_.items()) {
    if (key.starts_with("_") || value.is_null() || known_.contains(key)) continue;
    reject(key, "no such key: limewash does not know what it changes in the network");
  }
}

}  // namespace limewash::models
