#pragma once
// Which ranks of a machine may run on the same cores: it decides how many threads each may take.

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/communicator.h"

namespace limewash {

/// Where one rank may run.
struct RankCores {
  std::string machine;           ///< one running kernel: its boot's number
  std::vector<uint8_t> allowed;  ///< [cores]: 1 where the rank may run
};

/// Of this process; without `allowed` where the kernel does not tell (more than 1024 cores).
RankCores read_rank_cores();

/// The ranks, `own` being one of them, that may run on a core of `own`'s, be it in another
/// container of the machine. A rank whose cores are unknown may be on all of them.
int count_sharers(const RankCores& own, const std::vector<RankCores>& all);

/// count_sharers over everybody's. Collective.
int ranks_on_these_cores(Communicator& ranks);

}  // namespace limewash
