#include "data/color_tables.h"

#include <algorithm>
#include <vector>

#include "data/color.h"

namespace limewash::data {

const std::array<float, 256>& linear_of_byte() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values;
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = srgb_to_linear(static_cast<float>(i) / 255.0f);
    }
    return values;
  }();
  return table;
}

uint8_t byte_of_linear(float value) {
  // Near black one byte still spans twenty entries.
  constexpr int kEntries = 1 << 16;
  static const std::vector<uint8_t> table = [] {
    std::vector<uint8_t> values(kEntries + 1);
    for (int i = 0; i <= kEntries; ++i) {
      const float linear = static_cast<float>(i) / kEntries;
      values[static_cast<size_t>(i)] = static_cast<uint8_t>(linear_to_srgb(linear) * 255.0f + 0.5f);
    }
    return values;
  }();
  const float clipped = std::clamp(value, 0.0f, 1.0f);
  return table[static_cast<size_t>(clipped * kEntries + 0.5f)];
}

}  // namespace limewash::data
