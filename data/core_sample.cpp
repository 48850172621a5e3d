#include "data/core_sample.h"

#include <algorithm>

#include "data/mask.h"
#include "runtime/random.h"

namespace limewash::data {

std::vector<std::array<uint8_t, 3>> sample_core(const Image& photo,
                                                const Mask& core,
                                                uint64_t seed,
                                                uint64_t sample_id) {
  const int64_t count = count_wall(core);
  const int64_t stride = (count + kMaxCoreSample - 1) / kMaxCoreSample;
  int64_t next = 0;
  if (stride > 1)
    next = static_cast<int64_t>(RandomStream(seed, Purpose::kInitialization, 0, sample_id)
                                    .below(static_cast<uint64_t>(stride)));
  std::vector<std::array<uint8_t, 3>> pixels;
  pixels.reserve(static_cast<size_t>(std::min(count, kMaxCoreSample)));
  const uint8_t* wall = core.pixels.data();
  int64_t seen = 0;
  for (int64_t y = 0; y < core.height; ++y) {
    const int64_t begin = y * core.width;
    // A row without a chosen pixel is only counted.
    const int64_t in_row = count_wall(wall + begin, core.width);
    if (seen + in_row <= next) {
      seen += in_row;
      continue;
    }
    for (int64_t i = begin; i < begin + core.width; ++i) {
      if (wall[i] == 0) continue;
      if (seen++ != next) continue;
      const uint8_t* pixel = &photo.pixels[static_cast<size_t>(i * 3)];
      pixels.push_back({pixel[0], pixel[1], pixel[2]});
      next += stride;
    }
  }
  return pixels;
}

}  // namespace limewash::data
