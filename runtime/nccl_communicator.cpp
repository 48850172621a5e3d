#include "runtime/nccl_communicator.h"

#include <cstdlib>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "runtime/communicator_checks.h"
#include "runtime/error.h"
#include "runtime/host_info.h"
#include "runtime/rank_gpu.h"
#include "runtime/rank_store.h"

namespace limewash {

int64_t agree_on_gpus(Communicator& host, int local_rank) {
  std::vector<RankGpu> gpus;
  for (const auto& bytes : host.all_gather(encode(read_rank_gpu(local_rank)))) {
    gpus.push_back(decode_rank_gpu(bytes));
  }
  if (const auto problem = gpu_problem(gpus); !problem.empty()) throw InputError(problem);
  return gpus[static_cast<size_t>(host.rank())].index;
}

namespace {

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::unique_ptr<Communicator> host, const NcclOptions& options)
      : host_(std::move(host)),
        device_(at::kCUDA,
                static_cast<c10::DeviceIndex>(agree_on_gpus(*host_, options.local_rank))) {
    // Before anything of NCCL: it takes the current device for its own.
    c10::cuda::set_device(device_.index());
    // Loopback needs no name that can be looked up.
    const auto hosts = host_->all_gather(host_name());
    const bool one_host = std::set<std::string>(hosts.begin(), hosts.end()).size() == 1;
    store_ = make_rank_store(*host_, one_host ? "127.0.0.1" : host_name());
    // A sum that fails or takes too long ends this process, and mpirun then the others. 3: without
    // taking NCCL's connections down first, which can wait for a peer that is gone. Whoever set
    // another value meant it.
    setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "3", /*overwrite=*/0);
    auto nccl = c10d::ProcessGroupNCCL::Options::create();
    nccl->timeout = options.timeout;
    nccl->group_name = "limewash";
    group_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        c10::make_intrusive<c10d::PrefixStore>("nccl", store_), rank(), size(), nccl);
    // Connect now, where a failure has nothing to lose, instead of in the first sum.
    group_->eagerConnectSingleDevice(device_);
  }

  ~NcclCommunicator() override {
    // Still there on the way out of an error. To take its connections down could wait for a peer
    // that is gone, and this rank would not come to end the job; so they go with the process.
    group_.release();
  }

  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  int rank() const override {
    return host_->rank();
  }
  int size() const override {
    return host_->size();
  }

  void all_reduce_sum(at::Tensor& tensor) override {
    check_reducible(tensor);
    if (tensor.device().is_cpu()) {
      host_->all_reduce_sum(tensor);
      return;
    }
    TORCH_CHECK(tensor.device() == device_,
                "all_reduce_sum: expected a tensor on ",
                device_,
                " or the CPU, got one on ",
                tensor.device());
    TORCH_CHECK(group_, "all_reduce_sum: the communicator is shut down");
    agree_once(tensor);
    if (tensor.numel() == 0) return;
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::SUM;
    std::vector<at::Tensor> tensors{tensor};
    // The current stream waits, the host does not.
    group_->allreduce(tensors, options)->wait();
  }

  void broadcast(std::string& bytes, int root) override {
    host_->broadcast(bytes, root);
  }
  std::vector<std::string> all_gather(const std::string& bytes) override {
    return host_->all_gather(bytes);
  }
  void barrier() override {
    host_->barrier();
  }
  bool agree_any(bool flag) override {
    return host_->agree_any(flag);
  }
  void quiet_barrier(const std::function<void()>& meanwhile) override {
    host_->quiet_barrier(meanwhile);
  }
  std::unique_ptr<Communicator> split(int color) override {
    return host_->split(color);
  }

  void shut_down() override {
    if (!group_) return;
    // First the GPU's work, then NCCL on all ranks, then the store, which rank 0 serves.
    c10::cuda::device_synchronize();
    host_->barrier();
    group_->shutdown();
    group_.reset();
    if (rank() != 0) store_.reset();
    host_->barrier();
    store_.reset();
    host_->shut_down();
  }

 private:
  // By the host, which keeps it waiting, so only for what was not summed before: a buffer's first
  // sum shows a mistake as an error, later ones would be ended by the time limit.
  void agree_once(const at::Tensor& tensor) {
    const auto key = std::pair(tensor.numel(), tensor.scalar_type());
    if (agreed_.contains(key)) return;
    const std::string own = std::to_string(key.first) + " elements of " + c10::toString(key.second);
    const auto all = host_->all_gather(own);
    for (size_t other = 0; other < all.size(); ++other) {
      TORCH_CHECK(all[other] == own,
                  "all_reduce_sum: ranks disagree about size or type; rank ",
                  rank(),
                  " has ",
                  own,
                  ", rank ",
                  other,
                  " has ",
                  all[other]);
    }
    agreed_.insert(key);
  }

  std::unique_ptr<Communicator> host_;
  at::Device device_;
  // In the order in which they have to go, last first.
  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group_;
  std::set<std::pair<int64_t, at::ScalarType>> agreed_;
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host,
                                                     const NcclOptions& options) {
  return std::make_unique<NcclCommunicator>(std::move(host), options);
}

}  // namespace limewash
