#include "runtime/threads.h"

#include <string>

#include <ATen/Parallel.h>
#include <opencv2/core/utility.hpp>

#include "runtime/error.h"
#include "runtime/host_info.h"

namespace limewash {

int64_t configure_threads(int64_t threads, const RanksOnHost& ranks) {
  constexpr int64_t kMostThreads = 4096;
  if (threads < 0 || threads > kMostThreads) {
    throw ConfigError("threads = " + std::to_string(threads) + ": expected 0 to " +
                      std::to_string(kMostThreads));
  }
  if (threads == 0) threads = read_core_limits().share(ranks.all, ranks.on_these_cores);
  at::set_num_threads(static_cast<int>(threads));
  cv::setNumThreads(static_cast<int>(threads));
  return threads;
}

}  // namespace limewash
