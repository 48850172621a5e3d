#pragma once
// The JSON header of a safetensors file, parsed as a stream: what is not of the format's shape is
// refused at once, so memory stays in proportion to the header whatever it holds.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace limewash::models {

struct SafetensorsEntry {
  std::string dtype;
  std::vector<uint64_t> shape;
  uint64_t begin = 0, end = 0;  ///< bytes after the header
};

struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry> tensors;
  std::map<std::string, std::string> metadata;
};

/// Throws InputError naming `file` and key. Offsets are not checked against the data.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file);

}  // namespace limewash::models
