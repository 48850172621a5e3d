#include "runtime/threads.h"

#include <algorithm>
#include <fstream>
#include <sched.h>
#include <string>
#include <unistd.h>

#include <ATen/Parallel.h>
#include <opencv2/core/utility.hpp>

#include "runtime/error.h"

namespace limewash {

namespace {

int64_t allowed_cores() {
  int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
  cpu_set_t set;
  // Fails on machines with more than 1024 cores; the count of online cores stands then.
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = CPU_COUNT(&set);
  // A container's share of CPU time: "QUOTA PERIOD", or "max PERIOD".
  std::ifstream quota_file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (quota_file >> quota >> period && quota > 0 && period > 0) {
    cores = std::min(cores, static_cast<int64_t>(quota / period + 0.5));
  }
  return std::max<int64_t>(1, cores);
}

}  // namespace

int64_t configure_threads(int64_t threads, int ranks_on_host) {
  constexpr int64_t kMostThreads = 4096;
  if (threads < 0 || threads > kMostThreads) {
    throw ConfigError("threads = " + std::to_string(threads) + ": expected 0 to " +
                      std::to_string(kMostThreads));
  }
  if (threads == 0) threads = std::max<int64_t>(1, allowed_cores() / std::max(1, ranks_on_host));
  at::set_num_threads(static_cast<int>(threads));
  cv::setNumThreads(static_cast<int>(threads));
  return threads;
}

}  // namespace limewash
