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

void sleep_unless_stopped(std::chrono::duration<double> pause) {
  using Clock = std::chrono::steady_clock;
  for (const auto begin = Clock::now(); Clock::now() - begin < pause && !stop_requested();)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

}  // namespace limewash
