#pragma once
// Where batches lie: one contiguous block each.

#include <any>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace limewash::data {

/// A block of memory, aligned to 64 bytes; `owner` keeps it alive.
struct BatchMemory {
  std::byte* data = nullptr;
  int64_t bytes = 0;
  std::any owner;
};

/// Gives the memory of a batch; called from several threads. The trainer's gives pinned memory
/// where a GPU copies from it.
using AllocateBatch = std::function<BatchMemory(int64_t bytes)>;

/// Ordinary memory, used again when a batch is gone: the pages of a block are touched once, and the
/// memory that is held does not grow.
AllocateBatch pooled_memory();

}  // namespace limewash::data
