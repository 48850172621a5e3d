#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "runtime/communicator.h"

namespace limewash {

struct NcclOptions {
  int local_rank = 0;  ///< this rank's place on its host
  /// After which a sum that a rank does not join ends the process, and with it the job. It has to
  /// be longer than any rank may be late, for example after an evaluation.
  std::chrono::seconds timeout{600};
};

/// The number of this rank's GPU, once all ranks of `host` have told each other that they have one
/// each. Collective. Throws InputError, on every rank alike, where one has no GPU to itself.
int64_t agree_on_gpus(Communicator& host, int local_rank);

/// Ranks on GPUs: tensors of this rank's GPU are summed by NCCL; CPU tensors, bytes, flags and
/// barriers go the way of `host`, by which the ranks also find each other. Collective. Makes its
/// GPU the current one. Throws InputError, on every rank alike, where one has no GPU to itself.
std::unique_ptr<Communicator> make_nccl_communicator(std::unique_ptr<Communicator> host,
                                                     const NcclOptions& options);

}  // namespace limewash
