#pragma once
// Which GPU a rank computes on, and whether all ranks have one each.

#include <cstdint>
#include <span>
#include <string>

#include "runtime/communicator.h"

namespace limewash {

/// What `choice` (auto | cpu | cuda) means for this process: `auto` is the GPU where CUDA shows
/// one.
RankDevice rank_device(const std::string& choice);

/// What a rank says of its GPU to the others.
struct RankGpu {
  std::string host;
  int64_t visible = 0;   ///< GPUs that CUDA shows to this process
  int64_t index = 0;     ///< the one it takes
  std::string identity;  ///< of that one, the same in every process
  std::string problem;   ///< why there is none, in CUDA's words
};

/// The GPU for the rank at this place on its host: one after the other. A process that is shown a
/// GPU of its own takes that, so that both ways of Slurm (all GPUs to all tasks, or one each) work.
int64_t gpu_of_local_rank(int local_rank, int64_t visible);

/// Asks CUDA, and starts it where there is a GPU.
RankGpu read_rank_gpu(int local_rank);

/// Why these ranks, element r being rank r, cannot compute on their GPUs; empty: they can.
std::string gpu_problem(std::span<const RankGpu> ranks);

/// As bytes that ranks gather, and back.
std::string encode(const RankGpu& gpu);
RankGpu decode_rank_gpu(const std::string& bytes);

}  // namespace limewash
