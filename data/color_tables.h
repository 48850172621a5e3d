#pragma once
// sRGB bytes to linear light and back by table, for whole images.

#include <array>
#include <cstdint>

namespace limewash::data {

/// Linear light of each sRGB byte.
const std::array<float, 256>& linear_of_byte();

/// The sRGB byte nearest to a linear value, which is clipped to [0, 1].
uint8_t byte_of_linear(float value);

/// Relative luminance of linear light (ITU-R BT.709).
constexpr float luminance(float red, float green, float blue) {
  return 0.2126f * red + 0.7152f * green + 0.0722f * blue;
}

}  // namespace limewash::data
