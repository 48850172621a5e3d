#pragma once
// A look at the evaluation queue again and again, beside the work of a rank.

#include <atomic>
#include <functional>
#include <thread>

namespace limewash::launcher {

/// Calls `look` on a thread of its own, twenty times a second, until it returns false or this
/// object ends. A file that can't be read or written just then is looked at again.
class QueueWatch {
 public:
  explicit QueueWatch(std::function<bool()> look);
  ~QueueWatch();
  QueueWatch(const QueueWatch&) = delete;
  QueueWatch& operator=(const QueueWatch&) = delete;

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace limewash::launcher
