#include "data/batch_memory.h"

#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace limewash::data {
namespace {

constexpr int64_t kAlignment = 64;

struct Free {
  void operator()(std::byte* block) const {
    std::free(block);
  }
};
using Block = std::unique_ptr<std::byte, Free>;

/// Blocks of one size that nobody uses; another size takes their place.
struct Pool {
  std::mutex mutex;
  int64_t bytes = 0;
  std::vector<Block> blocks;

  Block take(int64_t wanted) {
    {
      const std::lock_guard lock(mutex);
      if (bytes != wanted) {
        blocks.clear();
        bytes = wanted;
      }
      if (!blocks.empty()) {
        Block block = std::move(blocks.back());
        blocks.pop_back();
        return block;
      }
    }
    Block block(
        static_cast<std::byte*>(std::aligned_alloc(kAlignment, static_cast<size_t>(wanted))));
    if (block == nullptr) throw std::bad_alloc();
    return block;
  }

  void give_back(Block block, int64_t size) {
    const std::lock_guard lock(mutex);
    if (size == bytes) blocks.push_back(std::move(block));
  }
};

}  // namespace

AllocateBatch pooled_memory() {
  return [pool = std::make_shared<Pool>()](int64_t bytes) {
    const int64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    Block block = pool->take(rounded);
    BatchMemory memory;
    memory.data = block.get();
    memory.bytes = bytes;
    memory.owner = std::shared_ptr<void>(block.release(), [pool, rounded](void* data) {
      pool->give_back(Block(static_cast<std::byte*>(data)), rounded);
    });
    return memory;
  };
}

}  // namespace limewash::data
