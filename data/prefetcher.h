#pragma once
// Threads make results ahead of the one that takes them: in order, and never more than a fixed
// number of them.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace limewash::data {

/// An endless sequence of results: number n is `make(n)`, called on one of `workers` threads. At
/// most `window` results wait or are in work, so memory is bounded. One thread takes them.
template <class Result>
class Prefetcher {
 public:
  using Make = std::function<Result(int64_t)>;

  /// Nothing is made before the first `next`.
  Prefetcher(Make make, int64_t workers, int64_t window)
      : make_(std::move(make)),
        workers_(std::max<int64_t>(1, workers)),
        window_(std::max<int64_t>(1, window)) {}

  /// Threads that wait end at once, the others when what they make is made.
  ~Prefetcher() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    room_.notify_all();
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// Go on with result `number`, without making those before it.
  void seek(int64_t number) {
    {
      const std::lock_guard lock(mutex_);
      if (number == next_taken_) return;
      ++generation_;
      ready_.clear();
      next_made_ = next_taken_ = number;
    }
    room_.notify_all();
  }

  /// The next result. What `make` threw for it is thrown here; the one after it comes next all the
  /// same.
  Result next() {
    start();
    const auto begin = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    made_.wait(lock, [&] { return ready_.count(next_taken_) > 0; });
    auto node = ready_.extract(next_taken_++);
    waited_ += std::chrono::steady_clock::now() - begin;
    lock.unlock();
    room_.notify_one();
    if (node.mapped().error) std::rethrow_exception(node.mapped().error);
    return std::move(node.mapped().result);
  }

  /// How long `next` has waited, all calls together.
  double waited_seconds() const {
    return std::chrono::duration<double>(waited_).count();
  }

 private:
  struct Outcome {
    Result result{};
    std::exception_ptr error;
  };

  void start() {
    while (static_cast<int64_t>(threads_.size()) < workers_)
      threads_.emplace_back([this] { work(); });
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      room_.wait(lock, [&] { return ended_ || in_reach() < window_; });
      if (ended_) return;
      const int64_t number = next_made_++;
      const uint64_t generation = generation_;
      ++in_work_;
      lock.unlock();
      Outcome outcome;
      try {
        outcome.result = make_(number);
      } catch (...) {
        outcome.error = std::current_exception();
      }
      lock.lock();
      --in_work_;
      if (generation == generation_)
        ready_.emplace(number, std::move(outcome));
      else
        room_.notify_one();
      lock.unlock();
      made_.notify_one();
      // What a seek has made useless goes here, outside of the lock.
      outcome = Outcome{};
      lock.lock();
    }
  }

  /// Results that hold memory, those of before a seek included.
  int64_t in_reach() const {
    return static_cast<int64_t>(ready_.size()) + in_work_;
  }

  const Make make_;
  const int64_t workers_, window_;
  std::mutex mutex_;
  std::condition_variable room_, made_;
  std::map<int64_t, Outcome> ready_;
  int64_t next_made_ = 0, next_taken_ = 0, in_work_ = 0;
  uint64_t generation_ = 0;
  bool ended_ = false;
  std::chrono::steady_clock::duration waited_{};
  std::vector<std::jthread> threads_;  // last: they end before the rest goes
};

}  // namespace limewash::data
