#include "eval/gathered_records.h"

#include <array>
#include <cstring>

#include <nlohmann/json.hpp>

namespace limewash::eval {

std::string pack_records(const std::map<int64_t, Metrics>& records) {
  nlohmann::json json = nlohmann::json::array();
  for (const auto& [index, metrics] : records) {
    nlohmann::json values = nlohmann::json::array();
    for (const auto& [name, value] : metrics.values) {
      values.push_back({name, value ? nlohmann::json(*value) : nlohmann::json(nullptr)});
    }
    json.push_back({index, std::move(values)});
  }
  return json.dump();
}

void unpack_records(const std::string& bytes, std::vector<Metrics>& records) {
  for (const nlohmann::json& record : nlohmann::json::parse(bytes)) {
    Metrics& metrics = records.at(record.at(0).get<size_t>());
    for (const nlohmann::json& value : record.at(1)) {
      metrics.values.emplace_back(
          value.at(0).get<std::string>(),
          value.at(1).is_null() ? std::nullopt : std::optional<double>(value.at(1).get<double>()));
    }
  }
}

/// One after the other: number, height, width, pixels.
std::string pack_pictures(const std::map<int64_t, data::Image>& pictures) {
  std::string bytes;
  for (const auto& [index, image] : pictures) {
    const std::array<int64_t, 3> head{index, image.height, image.width};
    bytes.append(reinterpret_cast<const char*>(head.data()), sizeof head);
    bytes.append(image.pixels.begin(), image.pixels.end());
  }
  return bytes;
}

void unpack_pictures(const std::string& bytes, std::map<int64_t, data::Image>& pictures) {
  std::array<int64_t, 3> head{};
  for (size_t at = 0; at + sizeof head <= bytes.size();) {
    std::memcpy(head.data(), bytes.data() + at, sizeof head);
    at += sizeof head;
    const auto [index, height, width] = head;
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto size = height * width * 3;
    pictures[index] = {height, width, std::vector<uint8_t>(begin, begin + size)};
    at += static_cast<size_t>(size);
  }
}

}  // namespace limewash::eval
