#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <thread>
#include <utility>

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <mpi.h>

#include "runtime/communicator.h"
#include "runtime/communicator_checks.h"
#include "runtime/error.h"
#include "runtime/mpi_collectives.h"
#include "runtime/nccl_communicator.h"
#include "runtime/rank_order_reduction.h"

namespace limewash {

namespace {

/// Between two looks of a rank that waits without taking a core.
constexpr std::chrono::milliseconds kQuietPause{10};

class MpiCommunicator final : public Communicator {
 public:
  explicit MpiCommunicator(MPI_Comm parent) {
    LIMEWASH_MPI_CHECK(MPI_Comm_dup(parent, &communicator_));
    look_around();
  }

  MpiCommunicator(MPI_Comm parent, int color, int rank) {
    LIMEWASH_MPI_CHECK(MPI_Comm_split(parent, color, rank, &communicator_));
    look_around();
  }

  ~MpiCommunicator() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    // Freeing is collective: while an exception unwinds this rank, the others may be elsewhere.
    if (!finalized && std::uncaught_exceptions() == 0) MPI_Comm_free(&communicator_);
  }

  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override {
    return rank_;
  }
  int size() const override {
    return size_;
  }

  void all_reduce_sum(at::Tensor& tensor) override {
    check_reducible(tensor);
    check_agreement(tensor);
    if (!tensor.device().is_cpu()) {
      // Debian's Open MPI knows no device memory.
      at::Tensor host = tensor.cpu();
      reduce_on_host(host);
      tensor.copy_(host);
      return;
    }
    reduce_on_host(tensor);
  }

  void broadcast(std::string& bytes, int root) override {
    check_root(root, size_);
    uint64_t length = bytes.size();
    LIMEWASH_MPI_CHECK(MPI_Bcast(&length, 1, MPI_UINT64_T, root, communicator_));
    bytes.resize(length);
    broadcast_in_slices(communicator_, bytes.data(), bytes.size(), root);
  }

  std::vector<std::string> all_gather(const std::string& bytes) override {
    const uint64_t length = bytes.size();
    std::vector<uint64_t> lengths(static_cast<size_t>(size_));
    LIMEWASH_MPI_CHECK(
        MPI_Allgather(&length, 1, MPI_UINT64_T, lengths.data(), 1, MPI_UINT64_T, communicator_));
    std::vector<std::string> gathered(lengths.size());
    for (int root = 0; root < size_; ++root) {
      std::string& part = gathered[static_cast<size_t>(root)];
      if (root == rank_) {
        part = bytes;
      } else {
        part.resize(lengths[static_cast<size_t>(root)]);
      }
      broadcast_in_slices(communicator_, part.data(), part.size(), root);
    }
    return gathered;
  }

  void barrier() override {
    LIMEWASH_MPI_CHECK(MPI_Barrier(communicator_));
  }

  void quiet_barrier(const std::function<void()>& meanwhile) override {
    MPI_Request request = MPI_REQUEST_NULL;
    LIMEWASH_MPI_CHECK(MPI_Ibarrier(communicator_, &request));
    for (int done = 0;;) {
      meanwhile();
      LIMEWASH_MPI_CHECK(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
      if (done != 0) return;
      std::this_thread::sleep_for(kQuietPause);
    }
  }

  bool agree_any(bool flag) override {
    int any = flag ? 1 : 0;
    LIMEWASH_MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, communicator_));
    return any != 0;
  }

  std::unique_ptr<Communicator> split(int color) override {
    return std::make_unique<MpiCommunicator>(communicator_, color, rank_);
  }

 private:
  void look_around() {
    LIMEWASH_MPI_CHECK(MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN));
    LIMEWASH_MPI_CHECK(MPI_Comm_rank(communicator_, &rank_));
    LIMEWASH_MPI_CHECK(MPI_Comm_size(communicator_, &size_));
  }

  // Microseconds, and otherwise a mistake in the caller would be a hang or a wrong sum.
  void check_agreement(const at::Tensor& tensor) {
    const int64_t numel = tensor.numel(), type = static_cast<int64_t>(tensor.scalar_type());
    std::array<int64_t, 4> extremes{numel, -numel, type, -type};
    LIMEWASH_MPI_CHECK(
        MPI_Allreduce(MPI_IN_PLACE, extremes.data(), 4, MPI_INT64_T, MPI_MAX, communicator_));
    TORCH_CHECK(extremes[0] == -extremes[1] && extremes[2] == -extremes[3],
                "all_reduce_sum: ranks disagree about size or type; rank ",
                rank_,
                " has ",
                numel,
                " elements of ",
                tensor.scalar_type());
  }

  void reduce_on_host(at::Tensor& tensor) {
    const auto add = rank_order_reduction(Reduction::kSum, tensor.scalar_type(), "all_reduce_sum");
    all_reduce_by_rank(
        communicator_, tensor.data_ptr(), tensor.numel(), tensor.element_size(), add);
  }

  MPI_Comm communicator_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1;
};

// 0 when the variable is not there or is no number.
int environment_number(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return 0;
  int value = 0;
  const auto result = std::from_chars(text, text + std::strlen(text), value);
  return result.ec == std::errc() ? value : 0;
}

}  // namespace

bool started_under_mpi() {
  // mpirun states its own world; a batch job around it states another one.
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) {
    return environment_number("OMPI_COMM_WORLD_SIZE") > 1;
  }
  if (std::getenv("PMI_SIZE") != nullptr) return environment_number("PMI_SIZE") > 1;
  // srun gives ranks by PMIx. Without it (a batch script, --mpi=none) the count of tasks says
  // nothing.
  if (std::getenv("PMIX_RANK") == nullptr) return false;
  const char* tasks =
      std::getenv("SLURM_STEP_NUM_TASKS") != nullptr ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  return environment_number(tasks) > 1;
}

MpiSession::MpiSession() {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized != 0) throw std::logic_error("MPI is already initialised in this process");
  int provided = MPI_THREAD_SINGLE;
  LIMEWASH_MPI_CHECK(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided));
  active_ = true;
  LIMEWASH_MPI_CHECK(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  if (provided < MPI_THREAD_SERIALIZED) {
    throw InputError("this MPI library gives no thread support (MPI_THREAD_SERIALIZED is needed)");
  }
  MPI_Comm host = MPI_COMM_NULL;
  LIMEWASH_MPI_CHECK(
      MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host));
  LIMEWASH_MPI_CHECK(MPI_Comm_size(host, &local_size_));
  LIMEWASH_MPI_CHECK(MPI_Comm_rank(host, &local_rank_));
  LIMEWASH_MPI_CHECK(MPI_Comm_free(&host));
}

std::unique_ptr<Communicator> MpiSession::world(RankDevice device) {
  auto host = std::make_unique<MpiCommunicator>(MPI_COMM_WORLD);
  if (device == RankDevice::kCpu) return host;
  return on_gpus(std::move(host));
}

std::unique_ptr<Communicator> MpiSession::on_gpus(std::unique_ptr<Communicator> host) {
  return make_nccl_communicator(std::move(host), {.local_rank = local_rank_});
}

int MpiSession::local_size() const {
  return local_size_;
}

int MpiSession::local_rank() const {
  return local_rank_;
}

void MpiSession::finalize() {
  if (!active_) return;
  active_ = false;
  LIMEWASH_MPI_CHECK(MPI_Finalize());
}

void MpiSession::abort(int status) {
  std::fflush(nullptr);
  MPI_Abort(MPI_COMM_WORLD, status);
  std::_Exit(status);
}

}  // namespace limewash
