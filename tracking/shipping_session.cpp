#include "tracking/shipping_session.h"

#include <algorithm>
#include <set>

#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "tracking/run_source.h"

namespace limewash::tracking {
namespace {

/// How often the state is written while entries go. What it does not know of is shipped again
/// after a crash, which is harmless.
constexpr auto kSaveInterval = std::chrono::seconds(1);

/// A value that is too long goes shortened with the records, and whole as a file.
bool belongs_to(Lane lane, const Entry& entry) {
  if (lane == Lane::kFiles) {
    return entry.kind == EntryKind::kArtifact || entry.kind == EntryKind::kImage ||
           (entry.kind == EntryKind::kParam && entry.value.size() > kMaxParamBytes) ||
           (entry.kind == EntryKind::kTag && entry.value.size() > kMaxTagBytes);
  }
  return entry.kind != EntryKind::kArtifact && entry.kind != EntryKind::kImage;
}

/// Where lane reading starts: an offset behind the end belongs to a journal
/// that was replaced.
uint64_t start_offset(const JournalOffsets& offsets, const std::filesystem::path& journal) {
  const auto it = offsets.find(journal.filename().string());
  if (it == offsets.end()) return 0;
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(journal, error);
  return error || it->second > size ? 0 : it->second;
}

}  // namespace

std::vector<Entry> find_attempts(const std::filesystem::path& folder) {
  std::vector<Entry> attempts;
  for (const auto& path : find_journals(folder)) {
    JournalReader reader(path);
    for (bool more = true; more;) {
      const JournalChunk chunk = reader.read();
      more = chunk.more;
      for (const auto& item : chunk.items) {
        if (item.entry.kind == EntryKind::kAttempt) attempts.push_back(item.entry);
      }
    }
  }
  std::stable_sort(attempts.begin(), attempts.end(), [](const Entry& a, const Entry& b) {
    return a.time_ms < b.time_ms;
  });
  return attempts;
}

ShippingSession::ShippingSession(MlflowClient& client,
                                 std::filesystem::path folder,
                                 std::string experiment,
                                 bool report_damage,
                                 std::string state_file)
    : client_(client),
      folder_(std::move(folder)),
      experiment_(std::move(experiment)),
      report_damage_(report_damage),
      state_file_(std::move(state_file)),
      state_(load_shipping_state(folder_, state_file_)) {
  if (state_.uri != client_.address().uri) state_ = {};
}

bool ShippingSession::attach() {
  if (run_) return true;
  if (!state_.run_id.empty()) {
    try {
      try {
        run_ = client_.get_run(state_.run_id);
      } catch (const TrackerError& error) {
        if (error.failure() != TrackerFailure::kInactive) throw;
        // Perhaps the whole experiment was deleted: that is restored, runs
        // included.
        client_.ensure_experiment(experiment_);
        run_ = client_.get_run(state_.run_id);
      }
      return true;
    } catch (const TrackerError& error) {
      if (error.failure() != TrackerFailure::kNotFound) throw;
      spdlog::warn("tracking: {} does not know run {} any more; it is shipped again",
                   state_.uri,
                   state_.run_id);
      forget_run();
    }
  }
  const std::vector<Entry> attempts = find_attempts(folder_);
  if (attempts.empty()) return false;
  state_.uri = client_.address().uri;
  state_.experiment_id = client_.ensure_experiment(experiment_);
  std::set<std::string> keys;
  for (const Entry& attempt : attempts) {
    if (run_ || !keys.insert(attempt.key).second) continue;
    run_ = client_.find_run(state_.experiment_id, attempt.key);
    state_.client_run_key = attempt.key;
  }
  if (!run_) {
    const Entry& first = attempts.front();
    state_.client_run_key = first.key;
    run_ = client_.create_run(
        {state_.experiment_id, first.value, user_name(), first.key, first.time_ms});
  }
  state_.run_id = run_->run_id;
  save();
  return true;
}

void ShippingSession::forget_run() {
  run_.reset();
  tails_.clear();
  state_ = {};
}

JournalOffsets& ShippingSession::offsets(Lane lane) {
  return lane == Lane::kRecords ? state_.records : state_.files;
}

ShippingSession::Tail& ShippingSession::tail_of(Lane lane, const std::filesystem::path& journal) {
  const auto key = std::pair{lane, journal.filename().string()};
  auto it = tails_.find(key);
  if (it == tails_.end()) {
    const uint64_t offset = start_offset(offsets(lane), journal);
    const bool primary = journal == journal_path(folder_, kPrimaryWriter);
    it = tails_.emplace(key, Tail{JournalReader(journal, offset), {}, 0, offset, primary}).first;
  }
  return it->second;
}

bool ShippingSession::refill(Lane lane, Tail& tail) {
  while (tail.next == tail.items.size()) {
    JournalChunk chunk = tail.reader.read();
    if (report_damage_ && lane == Lane::kRecords) {
      for (const auto& problem : chunk.problems)
        spdlog::warn("{}; the line is passed over", problem);
    }
    std::erase_if(chunk.items,
                  [lane](const JournalChunk::Item& item) { return !belongs_to(lane, item.entry); });
    tail.items = std::move(chunk.items);
    tail.next = 0;
    tail.chunk_end = chunk.end;
    if (tail.items.empty() && !chunk.more) return false;
  }
  return true;
}

int64_t ShippingSession::ship(Lane lane) {
  int64_t shipped = 0;
  if (!attach()) return 0;
  try {
    for (const auto& journal : find_journals(folder_))
      shipped += ship_tail(lane, tail_of(lane, journal));
    if (lane == Lane::kRecords) link_parent();
  } catch (...) {
    save_if_changed();
    throw;
  }
  save_if_changed();
  return shipped;
}

int64_t ShippingSession::ship_tail(Lane lane, Tail& tail) {
  int64_t shipped = 0;
  while (refill(lane, tail)) {
    size_t count = 1;
    if (lane == Lane::kFiles) {
      ship_file(tail.items[tail.next].entry);
    } else {
      count = ship_group(tail);
      if (count == 0) {
        ship_alone(tail, tail.items[tail.next].entry);
        count = 1;
      }
    }
    advance(lane, tail, count);
    shipped += static_cast<int64_t>(count);
  }
  return shipped;
}

void ShippingSession::advance(Lane lane, Tail& tail, size_t count) {
  tail.next += count;
  // With nothing left of the chunk, what it held of the other lane is behind us
  // too.
  const bool done = tail.next == tail.items.size();
  const uint64_t offset = done ? tail.chunk_end : tail.items[tail.next - 1].end;
  offsets(lane)[tail.reader.path().filename().string()] = offset;
  changed_ = true;
  // A file may be large: it is not sent twice for the sake of a write.
  if (lane == Lane::kFiles || std::chrono::steady_clock::now() - saved_at_ > kSaveInterval) save();
}

void ShippingSession::save_if_changed() {
  if (changed_) save();
}

void ShippingSession::save() {
  changed_ = false;
  saved_at_ = std::chrono::steady_clock::now();
  try {
    save_shipping_state(folder_, state_, state_file_);
    save_failed_ = false;
  } catch (const InputError& error) {
    // What cannot be remembered is shipped again after a restart.
    if (!save_failed_) spdlog::warn("tracking: {}", error.what());
    save_failed_ = true;
  }
}

int64_t ShippingSession::count_unshipped(const std::filesystem::path& folder,
                                         const std::string& uri,
                                         const std::string& state_file) {
  ShippingState state = load_shipping_state(folder, state_file);
  if (state.uri != uri) state = {};
  int64_t count = 0;
  for (const auto& journal : find_journals(folder)) {
    for (const Lane lane : {Lane::kRecords, Lane::kFiles}) {
      const JournalOffsets& done = lane == Lane::kRecords ? state.records : state.files;
      JournalReader reader(journal, start_offset(done, journal));
      for (bool more = true; more;) {
        const JournalChunk chunk = reader.read();
        more = chunk.more;
        count += std::count_if(chunk.items.begin(), chunk.items.end(), [lane](const auto& item) {
          return belongs_to(lane, item.entry);
        });
      }
    }
  }
  return count;
}

}  // namespace limewash::tracking
