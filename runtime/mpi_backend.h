#pragma once
// MPI for LibTorch's own data parallelism: what c10d::Reducer needs to average the gradients of a
// full training while the backward pass still runs. LibTorch's wheel has no MPI of its own.

#include <ATen/core/Tensor.h>  // c10::intrusive_ptr

namespace c10d {
class Backend;
}

namespace limewash {

class MpiSession;

/// c10d's collectives on contiguous CPU tensors, over all ranks of `session`, which it must not
/// outlive: allreduce (sum, avg, min, max), broadcast, allgather, _allgather_base, barrier.
///
/// Calls return at once; one thread runs them in the order of the calls, on a communicator of its
/// own, and a Work is complete when its result is there. Reductions go by rank, numbers with a
/// fraction are summed in double and rounded once, so equal input gives equal bits. A call that
/// ranks disagree about, or that MPI refuses, fails its Work on every rank; what this backend does
/// not have throws at the call and names the operation.
///
/// Collective. Call shutdown() on every rank before the session is finalised: it completes what was
/// called, and nothing can be called afterwards. Throws InputError where MPI serves only one
/// thread.
c10::intrusive_ptr<c10d::Backend> make_mpi_backend(const MpiSession& session);

}  // namespace limewash
