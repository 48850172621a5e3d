#pragma once
// Large pieces of memory that a thread uses again for its next photo: fresh ones cost a page fault
// for every 4 KiB, which is more than many steps of `prepare` take.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace limewash::data {

/// `size` bytes of unspecified content: memory that this thread handed back, or new memory.
std::vector<uint8_t> take_pixel_memory(size_t size);

/// Hand memory back to this thread for its next picture. A thread keeps little, and frees the rest.
void keep_pixel_memory(std::vector<uint8_t>&& memory);

/// Memory that goes back when the scope ends.
class PixelMemory {
 public:
  explicit PixelMemory(size_t size) : bytes(take_pixel_memory(size)) {}
  ~PixelMemory() {
    keep_pixel_memory(std::move(bytes));
  }
  PixelMemory(const PixelMemory&) = delete;
  PixelMemory& operator=(const PixelMemory&) = delete;

  std::vector<uint8_t> bytes;
};

}  // namespace limewash::data
