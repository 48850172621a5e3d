#include "runtime/time_limit.h"

#include <spdlog/spdlog.h>

#include "runtime/stop_signal.h"

namespace limewash {

TimeLimit::TimeLimit(std::chrono::duration<double> limit) {
  if (limit.count() <= 0) return;
  thread_ = std::jthread([this, limit](const std::stop_token& gone) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, gone, limit, [] { return false; });
    if (gone.stop_requested()) return;
    spdlog::info("the time limit of {:g} min is reached: stopping", limit.count() / 60);
    request_stop();
  });
}

}  // namespace limewash
