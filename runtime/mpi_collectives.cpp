#include "runtime/mpi_collectives.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <string>

#include "runtime/error.h"

namespace limewash {

namespace {

// MPI counts are ints, and the buffers of a collective should stay small.
constexpr int64_t kElementsPerSlice = int64_t{1} << 22;
constexpr size_t kBytesPerBroadcast = size_t{1} << 30;
constexpr size_t kBytesPerGather = size_t{1} << 22;

size_t rank_count(MPI_Comm communicator) {
  int size = 1;
  LIMEWASH_MPI_CHECK(MPI_Comm_size(communicator, &size));
  return static_cast<size_t>(size);
}

/// `count` elements split among the ranks, in bytes.
struct Shares {
  Shares(size_t ranks, int64_t count, size_t element_bytes) : sizes(ranks), offsets(ranks) {
    const auto parts = static_cast<int64_t>(ranks);
    const auto bytes = static_cast<int64_t>(element_bytes);
    for (int64_t r = 0; r < parts; ++r) {
      const int64_t first = count * r / parts, last = count * (r + 1) / parts;
      offsets[static_cast<size_t>(r)] = static_cast<int>(first * bytes);
      sizes[static_cast<size_t>(r)] = static_cast<int>((last - first) * bytes);
    }
  }
  std::vector<int> sizes, offsets;
};

// Each rank gets its share of the elements from everybody, reduces them, and gives the results
// back.
void reduce_slice(MPI_Comm communicator,
                  std::byte* values,
                  int64_t count,
                  size_t element_bytes,
                  const ReduceParts& reduce) {
  const size_t ranks = rank_count(communicator);
  int rank = 0;
  LIMEWASH_MPI_CHECK(MPI_Comm_rank(communicator, &rank));
  const Shares shares(ranks, count, element_bytes);
  const int own = shares.sizes[static_cast<size_t>(rank)];
  const std::vector<int> own_sizes(ranks, own);
  std::vector<int> own_offsets(ranks);
  for (size_t r = 0; r < ranks; ++r) own_offsets[r] = static_cast<int>(r) * own;
  std::vector<std::byte> received(ranks * static_cast<size_t>(own));
  LIMEWASH_MPI_CHECK(MPI_Alltoallv(values,
                                   shares.sizes.data(),
                                   shares.offsets.data(),
                                   MPI_BYTE,
                                   received.data(),
                                   own_sizes.data(),
                                   own_offsets.data(),
                                   MPI_BYTE,
                                   communicator));
  std::vector<const void*> parts(ranks);
  for (size_t r = 0; r < ranks; ++r) parts[r] = received.data() + own_offsets[r];
  reduce(parts,
         values + shares.offsets[static_cast<size_t>(rank)],
         own / static_cast<int64_t>(element_bytes));
  LIMEWASH_MPI_CHECK(MPI_Allgatherv(MPI_IN_PLACE,
                                    0,
                                    MPI_DATATYPE_NULL,
                                    values,
                                    shares.sizes.data(),
                                    shares.offsets.data(),
                                    MPI_BYTE,
                                    communicator));
}

}  // namespace

void check_mpi(int code, const char* expression, const char* file, int line) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING + 1> text{};
  int length = 0;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) {
    std::snprintf(text.data(), text.size(), "error code %d", code);
  }
  int rank = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  throw InputError("rank " + std::to_string(rank) + ": " + expression + " failed: " + text.data() +
                   " (" + file + ":" + std::to_string(line) + ")");
}

void all_reduce_by_rank(MPI_Comm communicator,
                        void* values,
                        int64_t count,
                        size_t element_bytes,
                        const ReduceParts& reduce) {
  auto* bytes = static_cast<std::byte*>(values);
  for (int64_t begin = 0; begin < count; begin += kElementsPerSlice) {
    reduce_slice(communicator,
                 bytes + static_cast<size_t>(begin) * element_bytes,
                 std::min(kElementsPerSlice, count - begin),
                 element_bytes,
                 reduce);
  }
}

void broadcast_in_slices(MPI_Comm communicator, void* bytes, size_t count, int root) {
  for (size_t begin = 0; begin < count; begin += kBytesPerBroadcast) {
    LIMEWASH_MPI_CHECK(MPI_Bcast(static_cast<std::byte*>(bytes) + begin,
                                 static_cast<int>(std::min(kBytesPerBroadcast, count - begin)),
                                 MPI_BYTE,
                                 root,
                                 communicator));
  }
}

void all_gather_in_slices(MPI_Comm communicator,
                          const void* bytes,
                          size_t count,
                          const std::vector<void*>& outputs) {
  std::vector<std::byte> gathered(outputs.size() * std::min(count, kBytesPerGather));
  for (size_t begin = 0; begin < count; begin += kBytesPerGather) {
    const size_t slice = std::min(kBytesPerGather, count - begin);
    LIMEWASH_MPI_CHECK(MPI_Allgather(static_cast<const std::byte*>(bytes) + begin,
                                     static_cast<int>(slice),
                                     MPI_BYTE,
                                     gathered.data(),
                                     static_cast<int>(slice),
                                     MPI_BYTE,
                                     communicator));
    for (size_t r = 0; r < outputs.size(); ++r) {
      std::memcpy(static_cast<std::byte*>(outputs[r]) + begin, gathered.data() + r * slice, slice);
    }
  }
}

}  // namespace limewash
