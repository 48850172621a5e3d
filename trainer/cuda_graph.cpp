#include "trainer/cuda_graph.h"

#include <exception>
#include <utility>

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>

namespace limewash::trainer {

namespace {

class CudaGraph final : public Recording {
 public:
  CudaGraph(const std::function<void()>& work, at::MempoolId_t pool) {
    // Other threads may allocate pinned memory meanwhile, and NCCL's may look at events.
    graph_.capture_begin(pool, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      end_quietly();
      throw;
    }
    graph_.capture_end();
  }

  void replay() override {
    graph_.replay();
  }

 private:
  /// A stream that goes on capturing could do nothing else.
  void end_quietly() {
    try {
      graph_.capture_end();
    } catch (const std::exception&) {
      // What broke the capture is what is reported.
    }
  }

  at::cuda::CUDAGraph graph_;
};

class CudaGraphRecorder final : public LaunchRecorder {
 public:
  std::unique_ptr<Recording> record(std::function<void()> work) override {
    // What passes leave in the allocator's cache is no use to the graph, whose memory is its own.
    c10::cuda::device_synchronize();
    c10::cuda::CUDACachingAllocator::emptyCache();
    return std::make_unique<CudaGraph>(work, pool_);
  }

 private:
  const at::MempoolId_t pool_ = at::cuda::graph_pool_handle();
};

}  // namespace

std::unique_ptr<LaunchRecorder> make_cuda_graph_recorder(at::Device device) {
  if (!device.is_cuda()) return nullptr;
  return std::make_unique<CudaGraphRecorder>();
}

struct OwnStream::Impl {
  explicit Impl(at::Device device)
      : guard((c10::cuda::device_synchronize(),
               c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device))) {}
  ~Impl() {
    guard.current_stream().synchronize();
  }
  c10::StreamGuard guard;
};

OwnStream::OwnStream(at::Device device)
    : impl_(device.is_cuda() ? std::make_unique<Impl>(device) : nullptr) {}

OwnStream::~OwnStream() = default;

}  // namespace limewash::trainer
