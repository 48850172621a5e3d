#pragma once
// Plain 8-bit images in memory, so that no header shows OpenCV or LibTorch.

#include <cstdint>
#include <vector>

namespace limewash::data {

/// Interleaved RGB, rows top to bottom.
struct Image {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> pixels;  ///< [height, width, 3]
};

/// 0 or 255; 255 is wall.
struct Mask {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> pixels;  ///< [height, width]
};

}  // namespace limewash::data
