#include "eval/palette.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>

#include "runtime/error.h"

namespace limewash::eval {

data::Rgb parse_color(const std::string& text, const std::string& key) {
  const std::string digits = text.starts_with('#') ? text.substr(1) : text;
  uint32_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, 16);
  if (digits.size() != 6 || error != std::errc() || stop != end) {
    throw ConfigError(key + ": '" + text + "' is not a colour; expected \"#rrggbb\"");
  }
  return {static_cast<float>(value >> 16 & 255) / 255.0f,
          static_cast<float>(value >> 8 & 255) / 255.0f,
          static_cast<float>(value & 255) / 255.0f};
}

std::string color_text(const data::Rgb& color) {
  int bytes[3];
  for (int i = 0; i < 3; ++i) {
    bytes[i] = static_cast<int>(std::lround(std::clamp(color[i], 0.0f, 1.0f) * 255.0f));
  }
  char text[8];
  std::snprintf(text, sizeof text, "#%02x%02x%02x", bytes[0], bytes[1], bytes[2]);
  return text;
}

const std::vector<std::string>& classic_chart() {
  static const std::vector<std::string> colors = {
      "#735244", "#c29682", "#627a9d", "#576c43", "#8580b1", "#67bdaa", "#d67e2c", "#505ba6",
      "#c15a63", "#5e3c6c", "#9dbc40", "#e0a32e", "#383d96", "#469449", "#af363c", "#e7c71f",
      "#bb5695", "#0885a1", "#f3f3f2", "#c8c8c8", "#a0a0a0", "#7a7a79", "#555555", "#343434"};
  return colors;
}

}  // namespace limewash::eval
