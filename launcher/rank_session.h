#pragma once
// A command that runs alone or as one rank under mpirun.

#include <cstdint>
#include <functional>
#include <memory>

#include "runtime/communicator.h"

namespace limewash::launcher {

/// Run `work` with this process's threads set up: alone, or as a rank where mpirun started more
/// than one. Alone, the result is that of `work`. Under MPI it is kExitDone whatever `work` says,
/// since mpirun takes any other status for a failed rank, and an error ends all ranks. `device` is
/// what `work` computes on, and so how its communicator sums.
int run_on_ranks(int64_t threads,
                 const std::function<int(Communicator&)>& work,
                 RankDevice device = RankDevice::kCpu);

enum class Role { kTrainer, kEvaluator };

/// What a rank of a launch is there for, and whom it talks with.
struct RankGroup {
  Role role = Role::kTrainer;
  Communicator& own;       ///< the ranks of this role
  Communicator& all;       ///< both roles
  int64_t evaluators = 0;  ///< ranks of that role
};

/// run_on_ranks for ranks of two roles: the last `evaluators` ranks evaluate, the others train.
/// Alone there is one trainer. Where several ranks start, rank 0 prints who they are. Throws
/// ConfigError where no rank is left to train.
int run_by_role(int64_t threads,
                int64_t evaluators,
                const std::function<int(const RankGroup&)>& work,
                RankDevice device);

}  // namespace limewash::launcher
