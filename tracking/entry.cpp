#include "tracking/entry.h"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <sys/random.h>

#include <nlohmann/json.hpp>
#include <xxhash.h>

namespace limewash::tracking {
namespace {

using nlohmann::json;

constexpr std::string_view kPrefix = R"({"xxh3":")";
constexpr std::string_view kMiddle = R"(","entry":)";
constexpr size_t kDigits = 16;
constexpr size_t kContentBegin = kPrefix.size() + kDigits + kMiddle.size();

constexpr std::array<const char*, 8> kKindNames{
    "attempt", "param", "tag", "metric", "artifact", "image", "dataset", "status"};

std::string hex(uint64_t value) {
  std::array<char, kDigits + 1> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

json number_to_json(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

double number_from_json(const json& value) {
  if (value.is_number()) return value.get<double>();
  const auto& text = value.get_ref<const std::string&>();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  throw std::invalid_argument("the value '" + text + "' is no number");
}

json to_json(const Entry& entry) {
  json object = {{"kind", kKindNames.at(static_cast<size_t>(entry.kind))}, {"time", entry.time_ms}};
  switch (entry.kind) {
    case EntryKind::kAttempt:
      object["run_key"] = entry.key;
      object["run_name"] = entry.value;
      break;
    case EntryKind::kParam:
    case EntryKind::kTag:
      object["key"] = entry.key;
      object["value"] = entry.value;
      break;
    case EntryKind::kMetric:
      object["key"] = entry.key;
      object["value"] = number_to_json(entry.number);
      object["step"] = entry.step;
      break;
    case EntryKind::kArtifact:
      object["file"] = entry.file;
      object["path"] = entry.path;
      break;
    case EntryKind::kImage:
      object["key"] = entry.key;
      object["step"] = entry.step;
      object["file"] = entry.file;
      object["identity"] = entry.path;
      break;
    case EntryKind::kDataset:
      object["context"] = entry.key;
      object["name"] = entry.value;
      object["digest"] = entry.file;
      object["source"] = entry.path;
      break;
    case EntryKind::kStatus:
      object["status"] = entry.value;
      break;
  }
  return object;
}

Entry from_json(const json& object, EntryKind kind) {
  Entry entry;
  entry.kind = kind;
  const auto text = [&object](const char* name) { return object.at(name).get<std::string>(); };
  entry.time_ms = object.at("time").get<int64_t>();
  switch (kind) {
    case EntryKind::kAttempt:
      entry.key = text("run_key");
      entry.value = text("run_name");
      break;
    case EntryKind::kParam:
    case EntryKind::kTag:
      entry.key = text("key");
      entry.value = text("value");
      break;
    case EntryKind::kMetric:
      entry.key = text("key");
      entry.number = number_from_json(object.at("value"));
      entry.step = object.at("step").get<int64_t>();
      break;
    case EntryKind::kArtifact:
      entry.file = text("file");
      entry.path = text("path");
      break;
    case EntryKind::kImage:
      entry.key = text("key");
      entry.step = object.at("step").get<int64_t>();
      entry.file = text("file");
      entry.path = text("identity");
      break;
    case EntryKind::kDataset:
      entry.key = text("context");
      entry.value = text("name");
      entry.file = text("digest");
      entry.path = text("source");
      break;
    case EntryKind::kStatus:
      entry.value = text("status");
      break;
  }
  return entry;
}

}  // namespace

std::string to_journal_line(const Entry& entry) {
  const std::string content = to_json(entry).dump(-1, ' ', false, json::error_handler_t::replace);
  std::string line;
  line.reserve(kContentBegin + content.size() + 2);
  line += kPrefix;
  line += hex(XXH3_64bits(content.data(), content.size()));
  line += kMiddle;
  line += content;
  line += "}\n";
  return line;
}

bool is_whole_line(std::string_view line, std::string& problem) {
  if (line.size() < kContentBegin + 1 || line.substr(0, kPrefix.size()) != kPrefix ||
      line.substr(kPrefix.size() + kDigits, kMiddle.size()) != kMiddle || line.back() != '}') {
    problem = "not a journal line";
    return false;
  }
  const std::string_view content = line.substr(kContentBegin, line.size() - kContentBegin - 1);
  if (line.substr(kPrefix.size(), kDigits) != hex(XXH3_64bits(content.data(), content.size()))) {
    problem = "the checksum does not match";
    return false;
  }
  return true;
}

std::optional<Entry> from_journal_line(std::string_view line, std::string& problem) {
  if (!is_whole_line(line, problem)) return std::nullopt;
  const std::string_view content = line.substr(kContentBegin, line.size() - kContentBegin - 1);
  // The checksum keeps accidents away; a file made on purpose must not crash us
  // either.
  try {
    const json object = json::parse(content);
    const std::string kind = object.at("kind").get<std::string>();
    for (size_t i = 0; i < kKindNames.size(); ++i) {
      if (kind == kKindNames[i]) return from_json(object, static_cast<EntryKind>(i));
    }
    problem = "the kind '" + kind + "' is unknown to this version";
  } catch (const std::exception& error) {
    problem = error.what();
  }
  return std::nullopt;
}

std::string json_number(double value) {
  return number_to_json(value).dump();
}

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string random_identity() {
  std::array<uint64_t, 2> bits{};
  // At most 256 bytes are given whole or not at all; the clock serves a system
  // without the call.
  if (getrandom(bits.data(), sizeof(bits), 0) != static_cast<ssize_t>(sizeof(bits))) {
    const auto ticks = std::chrono::steady_clock::now().time_since_epoch().count();
    bits = {static_cast<uint64_t>(now_ms()), static_cast<uint64_t>(ticks)};
  }
  return hex(bits[0]) + hex(bits[1]);
}

}  // namespace limewash::tracking
