#pragma once
// Which pixels of the core the palette and the quality parts look at, where it is large.

#include <array>
#include <cstdint>
#include <vector>

#include "data/image.h"

namespace limewash::data {

/// A sample of the core holds at most this many pixels.
inline constexpr int64_t kMaxCoreSample = 10000;

/// The colours of the core's pixels, 8-bit RGB, row by row: all of them, or every n-th from a start
/// drawn from (seed, sample_id) where there are more than kMaxCoreSample.
std::vector<std::array<uint8_t, 3>> sample_core(const Image& photo,
                                                const Mask& core,
                                                uint64_t seed,
                                                uint64_t sample_id);

}  // namespace limewash::data
