#pragma once
// The thread that ships a run's journals while the run goes on.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "tracking/shipping_session.h"

namespace limewash::tracking {

struct ShipperOptions {
  double interval_seconds = 2;     ///< between rounds while all is well
  double first_retry_seconds = 1;  ///< after a failure; doubled at each further one
  double max_retry_seconds = 60;
  HttpLimits http;
};

/// How long to wait after failures in a row: first, 2 first, 4 first, ... up to
/// the maximum; longer when the server's Retry-After says so (but at most five
/// minutes).
class Backoff {
 public:
  explicit Backoff(const ShipperOptions& options) : options_(options) {}
  double after_failure(double retry_after_seconds);
  void succeeded() {
    failures_ = 0;
  }
  bool failing() const {
    return failures_ > 0;
  }

 private:
  ShipperOptions options_;
  int failures_ = 0;
};

class Shipper {
 public:
  /// Starts the thread; touches no network itself.
  Shipper(TrackerAddress address,
          std::string experiment,
          std::filesystem::path folder,
          ShipperOptions options = {});
  /// Ends at once, whatever is left.
  ~Shipper();
  Shipper(const Shipper&) = delete;
  Shipper& operator=(const Shipper&) = delete;

  enum class Outcome {
    kShipped,    ///< nothing is left
    kLeft,       ///< entries are left in the journals
    kElsewhere,  ///< another process ships this run
  };
  /// Give the thread up to `seconds` to ship the rest, then end it. Ends early
  /// when all is shipped, and when the tracker was down before and still is.
  Outcome drain(double seconds);

 private:
  using Clock = std::chrono::steady_clock;
  struct LaneState {
    Lane lane;
    const char* what;
    Backoff backoff;
    Clock::time_point due{};
    bool known = false;
    std::optional<TrackerFailure> reported{};
  };

  void run();
  void serve(ShippingSession& session);
  bool ship(ShippingSession& session, LaneState& state);
  /// Up to a quarter longer, another share for each run and try: runs that lost a tracker at the
  /// same moment do not come back at the same moment.
  double spread(double seconds);
  void say_up(LaneState& state, const ShippingSession& session);
  void say_down(LaneState& state, const TrackerError& error);
  /// Returns early when told to stop, or to drain while not `draining` yet.
  void wait_until(Clock::time_point time, bool draining);

  TrackerAddress address_;
  std::string experiment_;
  std::filesystem::path folder_;
  ShipperOptions options_;
  std::atomic<bool> stop_{false};  // ends requests under way
  std::atomic<bool> draining_{false};
  int64_t retries_ = 0;               // the thread's
  Outcome outcome_ = Outcome::kLeft;  // the thread's until it is joined
  bool finished_ = false;             // under mutex_
  std::mutex mutex_;
  std::condition_variable wake_, finish_;
  std::thread thread_;
};

}  // namespace limewash::tracking
