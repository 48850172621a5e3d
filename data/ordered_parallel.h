#pragma once
// Many threads make results, one takes them in order: the outcome does not depend on the number of
// threads.

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace limewash::data {

/// Call `make(i)` for every i in [begin, end) on `threads` threads and `take(i, result)` in order
/// of i on the calling thread. `take` returns false to end early. At most `window` results wait or
/// are in work at a time. The first exception of either ends the work and is thrown again here.
template <class Result, class Make, class Take>
void ordered_parallel(
    int64_t begin, int64_t end, int threads, int64_t window, const Make& make, const Take& take) {
  struct Outcome {
    Result result;
    std::exception_ptr error;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::map<int64_t, Outcome> ready;
  int64_t next = begin, taken = begin;
  bool ended = false;

  const auto work = [&] {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return ended || next >= end || next < taken + window; });
      if (ended || next >= end) return;
      const int64_t i = next++;
      lock.unlock();
      Outcome outcome{};
      try {
        outcome.result = make(i);
      } catch (...) {
        outcome.error = std::current_exception();
      }
      lock.lock();
      ready.emplace(i, std::move(outcome));
      changed.notify_all();
    }
  };

  std::vector<std::jthread> pool;
  /// Lets the threads go, whatever ends this function; declared after the pool, so it comes first.
  struct Release {
    std::mutex& mutex;
    std::condition_variable& changed;
    bool& ended;
    ~Release() {
      const std::lock_guard lock(mutex);
      ended = true;
      changed.notify_all();
    }
  } release{mutex, changed, ended};
  for (int t = 0; t < threads; ++t) pool.emplace_back(work);

  std::unique_lock lock(mutex);
  while (taken < end) {
    changed.wait(lock, [&] { return ready.count(taken) > 0; });
    auto node = ready.extract(taken);
    lock.unlock();
    if (node.mapped().error) std::rethrow_exception(node.mapped().error);
    if (!take(taken, std::move(node.mapped().result))) return;
    lock.lock();
    ++taken;
    changed.notify_all();
  }
}

}  // namespace limewash::data
