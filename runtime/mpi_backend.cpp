#include "runtime/mpi_backend.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <mpi.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include "runtime/communicator.h"
#include "runtime/error.h"
#include "runtime/mpi_collectives.h"
#include "runtime/rank_order_reduction.h"

namespace limewash {

namespace {

/// One call: complete, or failed, when the thread says so. The future knows; the base class wakes
/// who waits.
class MpiWork final : public c10d::Work {
 public:
  MpiWork(int rank, c10d::OpType operation, std::vector<at::Tensor> outputs)
      : Work(rank, operation),
        outputs_(std::move(outputs)),
        future_(c10::make_intrusive<c10::ivalue::Future>(
            c10::ListType::create(c10::TensorType::get()))) {}

  bool isCompleted() override {
    return future_->completed();
  }
  bool isSuccess() const override {
    return !future_->hasError();
  }
  std::exception_ptr exception() const override {
    return future_->hasError() ? future_->exception_ptr() : nullptr;
  }
  bool wait(std::chrono::milliseconds timeout) override {
    // A callback of the future comes before those who wait are woken.
    if (!future_->completed()) return Work::wait(timeout);
    future_->waitAndThrow();
    return true;
  }
  std::vector<at::Tensor> result() override {
    TORCH_CHECK(isCompleted(), "result: the operation is not complete");
    return outputs_;
  }
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override {
    return future_;
  }

  void complete() {
    future_->markCompleted(c10::IValue(outputs_));
    finish();
  }
  void fail(const std::exception_ptr& error) {
    future_->setError(error);
    finish(error);
  }

 private:
  std::vector<at::Tensor> outputs_;
  c10::intrusive_ptr<c10::ivalue::Future> future_;
};

struct Call {
  c10::intrusive_ptr<MpiWork> work;
  std::function<void()> run;
};

/// The calls that wait for the thread. Owned by both sides, so that the thread may outlast a
/// backend that was dropped in the middle of a collective.
struct CallQueue {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Call> waiting;
  bool busy = false;
  bool closed = false;
};

void run_calls(const std::shared_ptr<CallQueue>& queue) {
  std::unique_lock lock(queue->mutex);
  for (;;) {
    queue->changed.wait(lock, [&] { return queue->closed || !queue->waiting.empty(); });
    if (queue->waiting.empty()) return;
    Call call = std::move(queue->waiting.front());
    queue->waiting.pop_front();
    queue->busy = true;
    lock.unlock();
    std::exception_ptr error;
    try {
      call.run();
    } catch (...) {
      error = std::current_exception();
    }
    // Who sees the work complete finds nothing of it still in use here.
    call.run = nullptr;
    if (error) {
      call.work->fail(error);
    } else {
      call.work->complete();
    }
    call.work.reset();
    lock.lock();
    queue->busy = false;
  }
}

Reduction reduction_of(const c10d::ReduceOp& operation) {
  switch (c10d::ReduceOp::RedOpType(operation)) {
    case c10d::ReduceOp::SUM:
      return Reduction::kSum;
    case c10d::ReduceOp::AVG:
      return Reduction::kAverage;
    case c10d::ReduceOp::MIN:
      return Reduction::kMinimum;
    case c10d::ReduceOp::MAX:
      return Reduction::kMaximum;
    default:
      TORCH_CHECK(false,
                  "mpi allreduce: expected SUM, AVG, MIN or MAX, got c10d's reduction number ",
                  static_cast<int>(c10d::ReduceOp::RedOpType(operation)));
  }
}

void check_tensor(const at::Tensor& tensor, const std::string& operation) {
  TORCH_CHECK(tensor.defined(), operation, ": expected a defined tensor");
  TORCH_CHECK(tensor.device().is_cpu(),
              operation,
              ": expected a tensor on the CPU, got one on ",
              tensor.device());
  TORCH_CHECK(tensor.layout() == at::kStrided && tensor.is_contiguous(),
              operation,
              ": expected a contiguous tensor, got sizes ",
              tensor.sizes(),
              " and layout ",
              tensor.layout());
}

const at::Tensor& only_tensor(const std::vector<at::Tensor>& tensors,
                              const std::string& operation) {
  TORCH_CHECK(
      tensors.size() == 1, operation, ": expected one tensor in a call, got ", tensors.size());
  check_tensor(tensors.front(), operation);
  return tensors.front();
}

std::byte* bytes_of(const at::Tensor& tensor) {
  return static_cast<std::byte*>(tensor.data_ptr());
}

class MpiBackend final : public c10d::Backend {
 public:
  MpiBackend(MPI_Comm communicator, int rank, int size)
      : Backend(rank, size),
        communicator_(communicator),
        queue_(std::make_shared<CallQueue>()),
        thread_([queue = queue_] { run_calls(queue); }) {}

  ~MpiBackend() override {
    if (!thread_.joinable()) return;
    // Without shutdown(): on the way out of an error. A collective that has begun may wait for a
    // peer that never comes, and then this rank would not come to end the job.
    std::deque<Call> dropped;
    {
      const std::lock_guard lock(queue_->mutex);
      queue_->closed = true;
      dropped.swap(queue_->waiting);
      if (queue_->busy) thread_.detach();
    }
    queue_->changed.notify_all();
    if (thread_.joinable()) thread_.join();
    for (const Call& call : dropped) {
      call.work->fail(std::make_exception_ptr(
          std::runtime_error("the mpi backend was dropped before it came to this call")));
    }
  }

  MpiBackend(const MpiBackend&) = delete;
  MpiBackend& operator=(const MpiBackend&) = delete;

  const std::string getBackendName() const override {
    return "mpi";
  }

  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<at::Tensor>& tensors,
                                           const c10d::AllreduceOptions& options) override {
    const at::Tensor tensor = only_tensor(tensors, "mpi allreduce");
    const Reduction reduction = reduction_of(options.reduceOp);
    auto reduce = rank_order_reduction(reduction, tensor.scalar_type(), "mpi allreduce");
    return call(
        c10d::OpType::ALLREDUCE,
        {tensor},
        tensor,
        static_cast<int>(reduction),
        [tensor, reduce = std::move(reduce), communicator = communicator_] {
          all_reduce_by_rank(
              communicator, tensor.data_ptr(), tensor.numel(), tensor.element_size(), reduce);
        });
  }

  c10::intrusive_ptr<c10d::Work> broadcast(std::vector<at::Tensor>& tensors,
                                           const c10d::BroadcastOptions& options) override {
    const at::Tensor tensor = only_tensor(tensors, "mpi broadcast");
    const auto root = static_cast<int>(options.rootRank);
    TORCH_CHECK(options.rootRank >= 0 && options.rootRank < getSize(),
                "mpi broadcast: root ",
                options.rootRank,
                " of ",
                getSize(),
                " ranks");
    return call(c10d::OpType::BROADCAST,
                {tensor},
                tensor,
                root,
                [tensor, root, communicator = communicator_] {
                  broadcast_in_slices(communicator, tensor.data_ptr(), tensor.nbytes(), root);
                });
  }

  c10::intrusive_ptr<c10d::Work> allgather(std::vector<std::vector<at::Tensor>>& outputs,
                                           std::vector<at::Tensor>& inputs,
                                           const c10d::AllgatherOptions& /*options*/) override {
    const std::string operation = "mpi allgather";
    const at::Tensor input = only_tensor(inputs, operation);
    TORCH_CHECK(outputs.size() == 1 && outputs.front().size() == static_cast<size_t>(getSize()),
                operation,
                ": expected one list of outputs, a tensor for each of ",
                getSize(),
                " ranks");
    std::vector<void*> places;
    for (const at::Tensor& output : outputs.front()) {
      check_tensor(output, operation);
      check_like_input(output, input, input.numel(), operation);
      places.push_back(output.data_ptr());
    }
    return gather(c10d::OpType::ALLGATHER, outputs.front(), input, std::move(places));
  }

  c10::intrusive_ptr<c10d::Work> _allgather_base(
      at::Tensor& output, at::Tensor& input, const c10d::AllgatherOptions& /*options*/) override {
    const std::string operation = "mpi _allgather_base";
    check_tensor(input, operation);
    check_tensor(output, operation);
    check_like_input(output, input, input.numel() * getSize(), operation);
    std::vector<void*> places;
    for (int r = 0; r < getSize(); ++r) {
      places.push_back(bytes_of(output) + static_cast<size_t>(r) * input.nbytes());
    }
    return gather(c10d::OpType::_ALLGATHER_BASE, {output}, input, std::move(places));
  }

  c10::intrusive_ptr<c10d::Work> barrier(const c10d::BarrierOptions& /*options*/) override {
    // Agreeing on the call is one already.
    return call(c10d::OpType::BARRIER, {}, at::Tensor(), 0, [] {});
  }

  void shutdown() override {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(queue_->mutex);
      queue_->closed = true;
    }
    queue_->changed.notify_all();
    thread_.join();
    LIMEWASH_MPI_CHECK(MPI_Comm_free(&communicator_));
  }

 private:
  static void check_like_input(const at::Tensor& output,
                               const at::Tensor& input,
                               int64_t numel,
                               const std::string& operation) {
    TORCH_CHECK(output.scalar_type() == input.scalar_type() && output.numel() == numel,
                operation,
                ": expected an output of ",
                numel,
                " elements of ",
                input.scalar_type(),
                ", got ",
                output.numel(),
                " of ",
                output.scalar_type());
  }

  c10::intrusive_ptr<c10d::Work> gather(c10d::OpType operation,
                                        std::vector<at::Tensor> outputs,
                                        const at::Tensor& input,
                                        std::vector<void*> places) {
    // The outputs live as long as the closure, and `places` point into them.
    auto run = [outputs, input, places = std::move(places), communicator = communicator_] {
      all_gather_in_slices(communicator, input.data_ptr(), input.nbytes(), places);
    };
    return call(operation, std::move(outputs), input, 0, std::move(run));
  }

  /// Queue `run`, which every rank is to call with the same operation, detail and size of `input`.
  c10::intrusive_ptr<c10d::Work> call(c10d::OpType operation,
                                      std::vector<at::Tensor> outputs,
                                      const at::Tensor& input,
                                      int detail,
                                      std::function<void()> run) {
    auto work = c10::make_intrusive<MpiWork>(getRank(), operation, std::move(outputs));
    const int64_t numel = input.defined() ? input.numel() : 0;
    const int64_t type = input.defined() ? static_cast<int64_t>(input.scalar_type()) : -1;
    auto run_agreed = [=, run = std::move(run), communicator = communicator_] {
      check_agreement(
          communicator, operation, {static_cast<int64_t>(operation), detail, numel, type});
      run();
    };
    {
      const std::lock_guard lock(queue_->mutex);
      TORCH_CHECK(!queue_->closed,
                  "mpi ",
                  c10d::opTypeToString(operation),
                  ": called after the backend was shut down");
      queue_->waiting.push_back({work, std::move(run_agreed)});
    }
    queue_->changed.notify_all();
    return work;
  }

  // Microseconds, and otherwise a mistake in the caller would be a hang or a wrong result.
  static void check_agreement(MPI_Comm communicator,
                              c10d::OpType operation,
                              const std::array<int64_t, 4>& own) {
    std::array<int64_t, 8> extremes{};
    for (size_t i = 0; i < own.size(); ++i) {
      extremes[2 * i] = own[i];
      extremes[2 * i + 1] = -own[i];
    }
    LIMEWASH_MPI_CHECK(MPI_Allreduce(MPI_IN_PLACE,
                                     extremes.data(),
                                     static_cast<int>(extremes.size()),
                                     MPI_INT64_T,
                                     MPI_MAX,
                                     communicator));
    for (size_t i = 0; i < own.size(); ++i) {
      TORCH_CHECK(extremes[2 * i] == -extremes[2 * i + 1],
                  "mpi ",
                  c10d::opTypeToString(operation),
                  ": ranks disagree about ",
                  std::array{"the operation", "its root or reduction", "size", "type"}[i],
                  "; this rank called it with ",
                  own[2],
                  " elements",
                  own[3] < 0 ? "" : " of ",
                  own[3] < 0 ? "" : c10::toString(static_cast<at::ScalarType>(own[3])));
    }
  }

  MPI_Comm communicator_;
  std::shared_ptr<CallQueue> queue_;
  std::thread thread_;
};

}  // namespace

c10::intrusive_ptr<c10d::Backend> make_mpi_backend(const MpiSession& /*session*/) {
  int provided = MPI_THREAD_SINGLE;
  LIMEWASH_MPI_CHECK(MPI_Query_thread(&provided));
  if (provided < MPI_THREAD_MULTIPLE) {
    throw InputError(
        "this MPI library serves one thread at a time (MPI_THREAD_MULTIPLE is needed)");
  }
  MPI_Comm communicator = MPI_COMM_NULL;
  int rank = 0, size = 1;
  LIMEWASH_MPI_CHECK(MPI_Comm_dup(MPI_COMM_WORLD, &communicator));
  LIMEWASH_MPI_CHECK(MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN));
  LIMEWASH_MPI_CHECK(MPI_Comm_rank(communicator, &rank));
  LIMEWASH_MPI_CHECK(MPI_Comm_size(communicator, &size));
  return c10::make_intrusive<MpiBackend>(communicator, rank, size);
}

}  // namespace limewash
