#pragma once
// Writes checkpoints on a thread of its own, while training goes on.

#include <functional>
#include <future>

namespace limewash::trainer {

/// One write at a time. What is written must not change meanwhile: the caller hands over copies. A
/// write that fails is told by the next call of any function here, as the write threw it.
class CheckpointWriter {
 public:
  CheckpointWriter() = default;
  /// Waits for the write that is under way; its error is logged.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Wait for the write before this one, then begin. `write` runs on another thread: it must not
  /// talk to other ranks.
  void start(std::function<void()> write);
  /// Throw what the last write threw, if it has ended; never waits.
  void check();
  /// Wait until nothing is under way.
  void wait();

 private:
  std::future<void> under_way_;
};

}  // namespace limewash::trainer
