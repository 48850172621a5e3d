#pragma once
// How the ranks of one role talk. Chosen once by the launcher and passed by reference.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace at {
class Tensor;
}

namespace limewash {

/// What the ranks compute on, and with it how they sum.
enum class RankDevice { kCpu, kGpu };

/// A group of ranks. All ranks call the same operations in the same order.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Sum a contiguous float32 or float64 tensor over all ranks, in place. The order of the sum is
  /// fixed, so equal input gives equal bits. On a GPU the order is NCCL's, which depends on how the
  /// GPUs are connected, and the sum is there for what is queued on the current stream afterwards.
  virtual void all_reduce_sum(at::Tensor& tensor) = 0;
  /// Copy the bytes of `root` to all ranks.
  virtual void broadcast(std::string& bytes, int root) = 0;
  /// Every rank's bytes, by rank, on every rank.
  virtual std::vector<std::string> all_gather(const std::string& bytes) = 0;
  virtual void barrier() = 0;
  /// A barrier for waits of seconds and more: it sleeps, where `barrier()` takes a core (Open MPI
  /// polls), and notices the last rank some hundredths of a second late. `meanwhile` is called at
  /// least once, and at every look around; it must not use this communicator.
  virtual void quiet_barrier(const std::function<void()>& meanwhile = [] {}) = 0;
  /// Whether any rank says yes.
  virtual bool agree_any(bool flag) = 0;
  /// Collective: the ranks that give the same `color`, in their order here, talking apart from all
  /// others. By the host's way: sums of tensors on GPUs are not for the group.
  virtual std::unique_ptr<Communicator> split(int color) = 0;
  /// End what works beside this object; every rank's last call, before MPI ends. Not for the way
  /// out of an error, where the others may be elsewhere.
  virtual void shut_down() {}
};

/// The only rank of a single process; never initialises MPI. Throws InputError where it is to
/// compute on a GPU and there is none.
std::unique_ptr<Communicator> make_single_process_communicator(
    RankDevice device = RankDevice::kCpu);

/// `size` ranks as threads of this process, for tests: element r belongs to thread r.
std::vector<std::unique_ptr<Communicator>> make_thread_communicators(int size);

/// Whether this process was started by mpirun or srun with more than one rank.
bool started_under_mpi();

/// MPI for the life of the process: initialises in the constructor, finalises in `finalize()`.
class MpiSession {
 public:
  MpiSession();
  /// Does not finalise: that is collective, and on the way out of an error the others may be
  /// elsewhere.
  ~MpiSession() = default;
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  /// A communicator over all ranks, on a duplicate of MPI_COMM_WORLD. Ranks on GPUs sum by NCCL:
  /// each takes the GPU of its place on its host and makes it the current one. Throws InputError on
  /// every rank where one has no GPU to itself.
  std::unique_ptr<Communicator> world(RankDevice device = RankDevice::kCpu);
  /// `host`, a part of the ranks that split off, with sums by NCCL as `world` has them. Collective
  /// over that part.
  std::unique_ptr<Communicator> on_gpus(std::unique_ptr<Communicator> host);
  /// Ranks on this host, and this rank's place among them.
  int local_size() const;
  int local_rank() const;
  /// Call before main returns, after every communicator is gone.
  void finalize();
  /// End all ranks: after an error, so that no peer waits in a collective for ever.
  [[noreturn]] void abort(int status);

 private:
  bool active_ = false;
  int local_size_ = 1, local_rank_ = 0;
};

}  // namespace limewash
