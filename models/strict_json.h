#pragma once
// Reading config.json and its like: bounded, and without silent surprises.

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/config.h"

namespace limewash::models {

/// The JSON object in a file of at most `max_bytes`. Broken JSON, nesting deeper than 32, a key
/// given twice and anything but an object are an InputError naming the file.
nlohmann::json read_json_object(const std::filesystem::path& path, uint64_t max_bytes = 1 << 20);

/// The same of bytes that are already read; `path` is for messages.
nlohmann::json parse_json_object(std::string_view text, const std::filesystem::path& path);

/// A name out of a file as it may be shown: control characters escaped, long ones cut.
std::string printable(const std::string& name);

/// One config.json read key by key. What is asked for is checked; `finish` then refuses what nobody
/// asked for, since it could change the network. Keys that begin with "_" and keys with the value
/// null pass.
class ModelConfigFile {
 public:
  explicit ModelConfigFile(const std::filesystem::path& path);

  int64_t integer(const std::string& key,
                  std::optional<int64_t> fallback,
                  config::Range<int64_t> range = {1, 1 << 20});
  double number(const std::string& key,
                std::optional<double> fallback,
                config::Range<double> range = {});
  bool boolean(const std::string& key, std::optional<bool> fallback);
  std::string text(const std::string& key, std::optional<std::string> fallback);
  /// A list of numbers, or one number for all `count` places.
  std::vector<int64_t> integers(const std::string& key,
                                std::optional<int64_t> fallback,
                                size_t count,
                                config::Range<int64_t> range = {1, 1 << 20});
  std::vector<int64_t> integer_list(const std::string& key,
                                    config::Range<int64_t> range = {1, 1 << 20});
  std::vector<std::string> text_list(const std::string& key);

  /// The value must be absent, null or one of `supported`.
  void require(const std::string& key, std::initializer_list<nlohmann::json> supported);
  /// Keys that do not change what the network computes.
  void ignore(std::initializer_list<const char*> keys);
  void finish() const;

  /// Throws InputError "FILE: KEY is VALUE: expected EXPECTED".
  [[noreturn]] void reject(const std::string& key, const std::string& expected) const;

 private:
  const nlohmann::json* find(const std::string& key, bool required);
  int64_t checked_integer(const nlohmann::json& value,
                          const std::string& key,
                          config::Range<int64_t> range) const;

  std::filesystem::path path_;
  nlohmann::json object_;
  std::set<std::string> known_;
};

}  // namespace limewash::models
