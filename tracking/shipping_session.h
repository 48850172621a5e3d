#pragma once
// Moves a run's journals to the tracker, round by round, and remembers how far
// it came. Repeating a round is harmless: MLflow drops identical points, and
// everything else is overwritten by itself.

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "tracking/journal.h"
#include "tracking/mlflow_client.h"
#include "tracking/shipping_state.h"

namespace limewash::tracking {

/// The writer whose attempts and endings are the run's; the endings of others
/// are theirs alone.
inline constexpr const char* kPrimaryWriter = "trainer";

/// The attempts that a run folder's journals tell of, the earliest first.
std::vector<Entry> find_attempts(const std::filesystem::path& folder);

/// Two lanes, so that a store that refuses files does not hold the curves back.
enum class Lane { kRecords, kFiles };

/// Whoever calls holds the Lease. Methods throw TrackerError, and InputError
/// for unreadable journals.
class ShippingSession {
 public:
  /// `report_damage`: warn of corrupt lines (whoever opened the journals may
  /// have done so already). `state_file` remembers how far this server is.
  ShippingSession(MlflowClient& client,
                  std::filesystem::path folder,
                  std::string experiment,
                  bool report_damage,
                  std::string state_file = kShippingStateFile);

  /// Find the run at the tracker, or create it. False while the journals tell
  /// of no run.
  bool attach();
  bool attached() const {
    return run_.has_value();
  }
  const TrackerRun& run() const {
    return *run_;
  }
  /// Look at the next `attach` whether the tracker still knows the run; where
  /// it does not, everything is shipped again.
  void detach() {
    run_.reset();
  }

  /// Ship what the journals hold; the number of entries that went. Entries that
  /// MLflow refuses for good are named, counted and passed over: they stay in
  /// the journal.
  int64_t ship(Lane lane);
  int64_t refused() const {
    return refused_;
  }

  /// Entries that the tracker does not have yet. Needs no tracker.
  static int64_t count_unshipped(const std::filesystem::path& folder,
                                 const std::string& uri,
                                 const std::string& state_file = kShippingStateFile);

 private:
  /// One journal, read for one lane.
  struct Tail {
    JournalReader reader;
    std::vector<JournalChunk::Item> items;
    size_t next = 0;
    uint64_t chunk_end = 0;
    bool primary = false;
  };

  void forget_run();
  JournalOffsets& offsets(Lane lane);
  Tail& tail_of(Lane lane, const std::filesystem::path& journal);
  bool refill(Lane lane, Tail& tail);
  int64_t ship_tail(Lane lane, Tail& tail);
  size_t ship_group(const Tail& tail);
  void ship_alone(const Tail& tail, const Entry& entry);
  void ship_file(const Entry& entry);
  void ship_params(const KeyValues& params);
  void advance(Lane lane, Tail& tail, size_t count);
  bool takes_key(const char* what, const std::string& key);
  void link_parent();
  void remove_empty_doubles();
  void refuse(const std::string& what, const std::string& reason);
  void save();
  void save_if_changed();

  MlflowClient& client_;
  std::filesystem::path folder_;
  std::string experiment_;
  bool report_damage_;
  std::string state_file_;
  ShippingState state_;
  std::optional<TrackerRun> run_;
  std::map<std::pair<Lane, std::string>, Tail> tails_;
  int64_t refused_ = 0;
  std::set<std::string> refused_keys_;
  std::chrono::steady_clock::time_point parent_due_{}, saved_at_{};
  bool changed_ = false, save_failed_ = false;
};

}  // namespace limewash::tracking
