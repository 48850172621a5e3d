#pragma once
// Stops and the clock.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace limewash {

/// Asks this process to stop (runtime/stop_signal.h) when `limit` has passed, unless the object is
/// gone by then. Nothing for 0.
class TimeLimit {
 public:
  explicit TimeLimit(std::chrono::duration<double> limit);

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

/// Sleep for `pause`, or until this process is asked to stop.
void sleep_unless_stopped(std::chrono::duration<double> pause);

}  // namespace limewash
