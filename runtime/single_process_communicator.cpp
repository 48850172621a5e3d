#include "runtime/communicator.h"
#include "runtime/communicator_checks.h"
#include "runtime/error.h"
#include "runtime/rank_gpu.h"

namespace limewash {

namespace {

class SingleProcessCommunicator final : public Communicator {
 public:
  int rank() const override {
    return 0;
  }
  int size() const override {
    return 1;
  }
  void all_reduce_sum(at::Tensor& tensor) override {
    check_reducible(tensor);
  }
  void broadcast(std::string& /*bytes*/, int root) override {
    check_root(root, 1);
  }
  std::vector<std::string> all_gather(const std::string& bytes) override {
    return {bytes};
  }
  void barrier() override {}
  void quiet_barrier(const std::function<void()>& meanwhile) override {
    meanwhile();
  }
  bool agree_any(bool flag) override {
    return flag;
  }
  std::unique_ptr<Communicator> split(int /*color*/) override {
    return std::make_unique<SingleProcessCommunicator>();
  }
};

}  // namespace

std::unique_ptr<Communicator> make_single_process_communicator(RankDevice device) {
  if (device == RankDevice::kGpu) {
    const std::vector<RankGpu> alone{read_rank_gpu(0)};
    if (const auto problem = gpu_problem(alone); !problem.empty()) throw InputError(problem);
  }
  return std::make_unique<SingleProcessCommunicator>();
}

}  // namespace limewash
