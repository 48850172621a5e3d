#pragma once
// CUDA graphs: work that a GPU was shown once and does again by one launch.

#include <cstdint>
#include <memory>

#include "trainer/pass_launcher.h"

namespace limewash::trainer {

/// Records what this thread, and the backward passes that it starts, launch on `device`; it must be
/// on a stream of its own (OwnStream). All recordings share memory: one is done before the next is
/// replayed. nullptr where `device` is no GPU.
std::unique_ptr<LaunchRecorder> make_cuda_graph_recorder(at::Device device);

/// Throws c10::Error where a graph could take the memory that passes launched kernel by kernel, or
/// evaluations, need beside it: `transient_bytes` is the most that has been needed so far beyond
/// what stays. The first graph needs that once more; others share its memory (`shares_memory`).
void check_room_for_graph(int64_t free_bytes, int64_t transient_bytes, bool shares_memory);

/// While it lives, this thread launches its work on a stream of its own: nothing can be recorded on
/// the default one. Work of before is done when it begins, and its own when it ends. On a CPU it
/// does nothing.
class OwnStream {
 public:
  explicit OwnStream(at::Device device);
  ~OwnStream();
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace limewash::trainer
