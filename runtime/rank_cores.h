#pragma once
// Which ranks of a machine may run on the same cores: it decides how many threads each may take.

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/communicator.h"
#include "runtime/threads.h"

namespace limewash {

/// Where one rank may run.
struct RankCores {
  std::string host;              ///< its name: a container's has its own quota of the machine
  std::string machine;           ///< one running kernel: its boot's number
  std::vector<uint8_t> allowed;  ///< [cores]: 1 where the rank may run
};

/// Of this process; without `allowed` where the kernel does not tell (more than 1024 cores).
RankCores read_rank_cores();

/// The ranks of `own`'s host, and those of its machine that share a core with it; itself is one of
/// both. A rank whose cores are unknown may be on all of them.
RanksOnHost count_ranks(const RankCores& own, const std::vector<RankCores>& all);

/// count_ranks over everybody's. Collective.
RanksOnHost ranks_on_host(Communicator& ranks);

}  // namespace limewash
