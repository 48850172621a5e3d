#pragma once

#include <cstdint>

namespace limewash {

/// The ranks of one host, and those of them that may run on a core that this one may run on too:
/// all, unless something binds ranks to cores (mpirun, Slurm). This rank is one of both.
struct RanksOnHost {
  int all = 1;
  int on_these_cores = 1;
};

/// Set the intra-op threads of LibTorch and OpenCV for this process. 0 means this rank's share of
/// the cores that it may run on, and of the processor time that a control group grants the host's
/// ranks together. Always call it: under mpirun LibTorch would silently run on one thread. Returns
/// the number set.
int64_t configure_threads(int64_t threads, const RanksOnHost& ranks = {});

}  // namespace limewash
