#pragma once
// MPI's collectives for buffers of any size, with its errors as exceptions.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <mpi.h>

namespace limewash {

/// Throws InputError with the rank, MPI's own text and the place, unless `code` says success.
void check_mpi(int code, const char* expression, const char* file, int line);

#define LIMEWASH_MPI_CHECK(expression) \
  ::limewash::check_mpi((expression), #expression, __FILE__, __LINE__)

/// Reduces `count` elements at `parts[r]`, rank r's, into `out`, which is none of them.
using ReduceParts =
    std::function<void(const std::vector<const void*>& parts, void* out, int64_t count)>;

/// Reduce `count` values of `element_bytes` each over all ranks, in place. Every element is reduced
/// on one rank, so all get the same bits, and with `reduce` the order is the caller's:
/// MPI_Allreduce moves as many bytes, but may choose its order by message size and topology.
void all_reduce_by_rank(MPI_Comm communicator,
                        void* values,
                        int64_t count,
                        size_t element_bytes,
                        const ReduceParts& reduce);

/// Copy `count` bytes of `root` to all ranks.
void broadcast_in_slices(MPI_Comm communicator, void* bytes, size_t count, int root);

/// Copy every rank's `count` bytes to `outputs[rank]` on every rank.
void all_gather_in_slices(MPI_Comm communicator,
                          const void* bytes,
                          size_t count,
                          const std::vector<void*>& outputs);

}  // namespace limewash
