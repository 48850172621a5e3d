#pragma once
// Include after <torch/torch.h>. What LibTorch allocates on the CPU in this thread while an
// AllocatedMemory lives.

#include <algorithm>
#include <cstdint>
#include <memory>

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

namespace limewash::models {

class AllocatedMemory {
 public:
  AllocatedMemory()
      : counter_(std::make_shared<Counter>()),
        guard_(c10::DebugInfoKind::PROFILER_STATE, counter_) {}

  /// Bytes allocated less bytes freed, now and at most.
  int64_t bytes() const {
    return counter_->bytes;
  }
  int64_t peak() const {
    return counter_->peak;
  }

 private:
  struct Counter : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void* /*pointer*/,
                           int64_t alloc_size,
                           size_t /*total_allocated*/,
                           size_t /*total_reserved*/,
                           c10::Device /*device*/) override {
      bytes += alloc_size;
      peak = std::max(peak, bytes);
    }
    bool memoryProfilingEnabled() const override {
      return true;
    }
    int64_t bytes = 0, peak = 0;
  };
  std::shared_ptr<Counter> counter_;
  c10::DebugInfoGuard guard_;
};

}  // namespace limewash::models
