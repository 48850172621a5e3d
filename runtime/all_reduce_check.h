#pragma once
// Whether a group of ranks can sum, and how fast.

#include <cstdint>

#include "runtime/communicator.h"

namespace limewash {

struct AllReduceCheck {
  bool exact = false;           ///< every sum was what it must be, on this rank
  double latency_seconds = 0;   ///< of a sum of one number
  double bytes_per_second = 0;  ///< of a large sum: bytes of one rank's tensor over the time
  int64_t bytes = 0;            ///< of that tensor
};

/// All ranks call it. Takes about a tenth of a second where ranks have their own cores.
AllReduceCheck check_all_reduce(Communicator& communicator);

}  // namespace limewash
