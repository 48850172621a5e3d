#include "trainer/cuda_graph.h"

#include <exception>
#include <utility>

#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <spdlog/spdlog.h>

namespace limewash::trainer {

namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

/// Memory that graphs share. It ends with the last of them: its handle can't be used again.
struct Pool {
  const at::MempoolId_t id = at::cuda::graph_pool_handle();
};

class CudaGraph final : public Recording {
 public:
  CudaGraph(const std::function<void()>& work, std::shared_ptr<Pool> pool, c10::DeviceIndex device)
      : pool_(std::move(pool)) {
    try {
      // Other threads may allocate pinned memory meanwhile, and NCCL's may look at events.
      graph_.capture_begin(pool_->id, cudaStreamCaptureModeThreadLocal);
      work();
      graph_.capture_end();
    } catch (...) {
      give_up(device);
      throw;
    }
  }

  void replay() override {
    graph_.replay();
  }

 private:
  /// A stream that goes on capturing could do nothing else, nor could the allocator free anything.
  void give_up(c10::DeviceIndex device) {
    const auto attempt = [](const auto& undo) {
      try {
        undo();
      } catch (const std::exception&) {
        // What broke the capture is what is reported.
      }
    };
    attempt([&] { graph_.capture_end(); });
    attempt([&] { allocator::endAllocateToPool(device, pool_->id); });
  }

  std::shared_ptr<Pool> pool_;  // outlives the graph
  at::cuda::CUDAGraph graph_;
};

class CudaGraphRecorder final : public LaunchRecorder {
 public:
  explicit CudaGraphRecorder(c10::DeviceIndex device) : device_(device) {}

  std::unique_ptr<Recording> record(std::function<void()> work) override {
    // What passes leave in the allocator's cache is no use to the graph, whose memory is its own.
    c10::cuda::device_synchronize();
    allocator::emptyCache();
    auto pool = pool_.lock();
    const auto used = allocator::getDeviceStats(device_).allocated_bytes[0];
    check_room_for_graph(static_cast<int64_t>(allocator::get()->getMemoryInfo(device_).first),
                         used.peak - used.current,
                         /*shares_memory=*/pool != nullptr);
    if (!pool) pool = std::make_shared<Pool>();
    pool_ = pool;
    return std::make_unique<CudaGraph>(work, std::move(pool), device_);
  }

 private:
  c10::DeviceIndex device_;
  std::weak_ptr<Pool> pool_;
};

}  // namespace

void check_room_for_graph(int64_t free_bytes, int64_t transient_bytes, bool shares_memory) {
  const int64_t needed = shares_memory ? transient_bytes : 2 * transient_bytes;
  const auto gib = [](int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); };
  TORCH_CHECK(free_bytes >= needed,
              "a graph has memory of its own, and ",
              gib(free_bytes),
              " GiB are free: expected ",
              gib(needed),
              ", for the graph and what runs beside it. A smaller training.micro_batch takes less");
}

std::unique_ptr<LaunchRecorder> make_cuda_graph_recorder(at::Device device) {
  if (!device.is_cuda()) return nullptr;
  return std::make_unique<CudaGraphRecorder>(device.index());
}

struct OwnStream::Impl {
  explicit Impl(at::Device device)
      : guard((c10::cuda::device_synchronize(),
               c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device))) {}
  ~Impl() {
    try {
      guard.current_stream().synchronize();
    } catch (const std::exception& error) {
      // Mostly on the way out of the error that was the first to say so.
      spdlog::warn("the GPU's work did not end well: {}", error.what());
    }
  }
  c10::StreamGuard guard;
};

OwnStream::OwnStream(at::Device device)
    : impl_(device.is_cuda() ? std::make_unique<Impl>(device) : nullptr) {}

OwnStream::~OwnStream() = default;

}  // namespace limewash::trainer
