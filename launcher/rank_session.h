#pragma once
// A command that runs alone or as one rank under mpirun.

#include <cstdint>
#include <functional>

#include "runtime/communicator.h"

namespace limewash::launcher {

/// Run `work` with this process's threads set up: alone, or as a rank where mpirun started more
/// than one. Alone, the result is that of `work`. Under MPI it is kExitDone whatever `work` says,
/// since mpirun takes any other status for a failed rank, and an error ends all ranks. `device` is
/// what `work` computes on, and so how its communicator sums.
int run_on_ranks(int64_t threads,
                 const std::function<int(Communicator&)>& work,
                 RankDevice device = RankDevice::kCpu);

}  // namespace limewash::launcher
