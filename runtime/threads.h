#pragma once

#include <cstdint>

namespace limewash {

/// Set the intra-op threads of LibTorch and OpenCV for this process. 0 means: the cores this
/// process may run on, divided by the ranks on this host. Always call it: under mpirun LibTorch
/// would silently run on one thread. Returns the number set.
int64_t configure_threads(int64_t threads, int ranks_on_host);

}  // namespace limewash
