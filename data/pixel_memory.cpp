#include "data/pixel_memory.h"

#include <algorithm>
#include <utility>

namespace limewash::data {
namespace {

constexpr size_t kMostPieces = 6;
constexpr size_t kMostBytes = size_t{64} << 20;  // kept by one thread

/// Ordered from the least recently to the most recently used.
thread_local std::vector<std::vector<uint8_t>> kept;

}  // namespace

std::vector<uint8_t> take_pixel_memory(size_t size) {
  // The smallest that is large enough, and not so large that it is missing elsewhere.
  auto best = kept.end();
  for (auto piece = kept.begin(); piece != kept.end(); ++piece)
    if (piece->capacity() >= size && piece->capacity() / 2 <= size &&
        (best == kept.end() || piece->capacity() < best->capacity()))
      best = piece;
  if (best == kept.end()) return std::vector<uint8_t>(size);
  std::vector<uint8_t> memory = std::move(*best);
  kept.erase(best);
  memory.resize(size);
  return memory;
}

void keep_pixel_memory(std::vector<uint8_t>&& memory) {
  if (memory.capacity() == 0 || memory.capacity() > kMostBytes) {
    std::vector<uint8_t>().swap(memory);
    return;
  }
  size_t total = memory.capacity();
  for (const auto& piece : kept) total += piece.capacity();
  while (!kept.empty() && (kept.size() >= kMostPieces || total > kMostBytes)) {
    total -= kept.front().capacity();
    kept.erase(kept.begin());
  }
  kept.push_back(std::move(memory));
}

}  // namespace limewash::data
