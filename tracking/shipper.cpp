#include "tracking/shipper.h"

#include <algorithm>
#include <cmath>

#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "runtime/random.h"
#include "tracking/lease.h"
#include "tracking/run_recorder.h"

namespace limewash::tracking {
namespace {

constexpr double kLongestRetryAfter = 300;
/// `runs sync` gives up after so many failures in a row.
constexpr int kSyncTries = 4;

std::chrono::steady_clock::duration to_duration(double seconds) {
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(seconds));
}

}  // namespace

double Backoff::after_failure(double retry_after_seconds) {
  const double wait = options_.first_retry_seconds * std::exp2(std::min(failures_, 30));
  ++failures_;
  return std::max(std::min(wait, options_.max_retry_seconds),
                  std::min(retry_after_seconds, kLongestRetryAfter));
}

Shipper::Shipper(TrackerAddress address,
                 std::string experiment,
                 std::filesystem::path folder,
                 ShipperOptions options)
    : address_(std::move(address)),
      experiment_(std::move(experiment)),
      folder_(std::move(folder)),
      options_(options),
      thread_([this] { run(); }) {}

Shipper::~Shipper() {
  drain(0);
}

Shipper::Outcome Shipper::drain(double seconds) {
  if (!thread_.joinable()) return outcome_;
  {
    std::unique_lock lock(mutex_);
    draining_ = true;
    if (seconds <= 0) stop_ = true;
    wake_.notify_all();
    finish_.wait_for(lock, to_duration(std::max(seconds, 0.0)), [this] { return finished_; });
    stop_ = true;
    wake_.notify_all();
  }
  thread_.join();
  return outcome_;
}

void Shipper::run() {
  // A thread has nobody to throw to.
  try {
    Lease lease(folder_);
    bool ours = false;
    while (!(ours = lease.try_acquire()) && !draining_) {
      wait_until(Clock::now() + to_duration(options_.interval_seconds), false);
    }
    if (ours) {
      MlflowClient client(address_, options_.http, &stop_);
      ShippingSession session(client, folder_, experiment_, false);
      serve(session);
    } else {
      outcome_ = Outcome::kElsewhere;
    }
  } catch (const std::exception& error) {
    spdlog::error("tracking: shipping ended: {}; the journal goes on", error.what());
  }
  const std::lock_guard lock(mutex_);
  finished_ = true;
  finish_.notify_all();
}

void Shipper::serve(ShippingSession& session) {
  LaneState records{Lane::kRecords, "records", Backoff(options_)};
  LaneState files{Lane::kFiles, "files", Backoff(options_)};
  bool seen_draining = false;
  bool patient = false;  // worth waiting for until the deadline: the tracker was
                         // up when the end began
  while (!stop_) {
    const bool draining = draining_;
    if (draining && !seen_draining) {
      // Whatever the back-off says: the end is the time to try once more.
      seen_draining = true;
      patient = records.known && !records.backoff.failing() && !files.backoff.failing();
      records.due = files.due = Clock::now();
    }
    bool all_went = true;
    for (LaneState* lane : {&records, &files}) {
      if (lane == &files && records.backoff.failing())
        all_went = false;
      else if (lane->due <= Clock::now())
        all_went = ship(session, *lane) && all_went;
      else if (lane->backoff.failing())
        all_went = false;
    }
    if (draining && (all_went || !patient)) {
      if (all_went) outcome_ = Outcome::kShipped;
      return;
    }
    wait_until(records.backoff.failing() ? records.due : std::min(records.due, files.due),
               draining);
  }
}

/// One round of a lane; sets when the next is due.
bool Shipper::ship(ShippingSession& session, LaneState& state) {
  try {
    session.ship(state.lane);
    state.backoff.succeeded();
    state.due = Clock::now() + to_duration(options_.interval_seconds);
    if (session.attached()) say_up(state, session);
    return true;
  } catch (const TrackerError& error) {
    if (error.failure() == TrackerFailure::kStopped) return false;
    if (error.failure() == TrackerFailure::kNotFound) session.detach();
    state.due = Clock::now() +
                to_duration(spread(state.backoff.after_failure(error.retry_after_seconds())));
    say_down(state, error);
  } catch (const std::exception& error) {
    state.due = Clock::now() + to_duration(spread(state.backoff.after_failure(0)));
    say_down(state, TrackerError(TrackerFailure::kInvalid, error.what()));
  }
  return false;
}

double Shipper::spread(double seconds) {
  const uint64_t id = stable_id(folder_.string() + '/' + std::to_string(++retries_));
  return seconds * (1 + 0.25 * static_cast<double>(id % 1000) / 1000);
}

void Shipper::say_up(LaneState& state, const ShippingSession& session) {
  if (!state.known && state.lane == Lane::kRecords) {
    spdlog::info("tracking: this run is at {}/#/experiments/{}/runs/{}",
                 address_.uri,
                 session.run().experiment_id,
                 session.run().run_id);
  } else if (state.reported) {
    spdlog::info("tracking: {} takes {} again", address_.uri, state.what);
  }
  state.known = true;
  state.reported.reset();
}

void Shipper::say_down(LaneState& state, const TrackerError& error) {
  if (state.reported == error.failure()) return;
  state.reported = error.failure();
  spdlog::warn(
      "tracking: {} takes no {}: {}; they stay in the journal, "
      "training goes on",
      address_.uri,
      state.what,
      error.what());
}

void Shipper::wait_until(Clock::time_point time, bool draining) {
  std::unique_lock lock(mutex_);
  wake_.wait_until(lock, time, [this, draining] { return stop_ || draining_ != draining; });
}

namespace {

int64_t ship_run(const TrackingOptions& options, const std::filesystem::path& folder, bool replay) {
  const TrackerAddress address = tracker_address_from_environment(options.uri);
  if (address.uri.empty()) {
    throw InputError("no tracker to ship to: set tracking.uri or MLFLOW_TRACKING_URI");
  }
  if (find_journals(folder).empty()) {
    throw InputError("'" + folder.string() + "' holds no journal of a run");
  }
  Lease lease(folder);
  if (!lease.try_acquire()) {
    throw InputError("'" + folder.string() + "' is being shipped by process " + lease.holder());
  }
  const ShipperOptions shipping;
  MlflowClient client(address, shipping.http);
  const std::string state_file = replay ? replay_state_file(address.uri) : kShippingStateFile;
  ShippingSession session(client, folder, options.experiment, true, state_file);
  if (find_attempts(folder).empty()) {
    throw InputError("the journals of '" + folder.string() + "' tell of no run");
  }
  const int64_t before = ShippingSession::count_unshipped(folder, address.uri, state_file);
  Backoff backoff(shipping);
  for (int failures = 0;;) {
    try {
      if (session.ship(Lane::kRecords) + session.ship(Lane::kFiles) == 0) break;
      failures = 0;
      backoff.succeeded();
    } catch (const TrackerError& error) {
      if (error.failure() == TrackerFailure::kNotFound) session.detach();
      const bool again = error.failure() == TrackerFailure::kUnavailable ||
                         error.failure() == TrackerFailure::kNotFound;
      if (!again || ++failures == kSyncTries) {
        throw InputError("'" + folder.string() + "' could not be shipped to " + address.uri + ": " +
                         error.what());
      }
      std::this_thread::sleep_for(to_duration(backoff.after_failure(error.retry_after_seconds())));
    }
  }
  // A failed round may have shipped a part, so the difference counts, less what
  // was refused for good.
  const int64_t after = ShippingSession::count_unshipped(folder, address.uri, state_file);
  return std::max<int64_t>(0, before - after - session.refused());
}

}  // namespace

int64_t sync_run(const TrackingOptions& options, const std::filesystem::path& folder) {
  return ship_run(options, folder, false);
}

int64_t replay_run(const TrackingOptions& options, const std::filesystem::path& folder) {
  return ship_run(options, folder, true);
}

}  // namespace limewash::tracking
