#pragma once
// The numbers that the project's own kernels read and write.

#include <cstdint>

namespace limewash::models {

/// bfloat16 as its bits.
struct Bfloat16Bits {
  uint16_t bits;
};

}  // namespace limewash::models
