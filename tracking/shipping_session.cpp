#include "tracking/shipping_session.h"

#include <algorithm>
#include <set>
#include <span>

#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "tracking/run_source.h"
#include "tracking/step_image.h"

namespace limewash::tracking {
namespace {

/// Refusals named one by one; the rest is only counted.
constexpr int64_t kNamedRefusals = 10;

bool belongs_to(Lane lane, EntryKind kind) {
  const bool file = kind == EntryKind::kArtifact || kind == EntryKind::kImage;
  return file == (lane == Lane::kFiles);
}

/// Send all at once; when MLflow refuses, halve until the refused ones stand
/// alone.
template <class Item, class Send, class Refuse>
void send_halving(std::span<const Item> items, const Send& send, const Refuse& refuse) {
  if (items.empty()) return;
  try {
    send(std::vector<Item>(items.begin(), items.end()));
  } catch (const TrackerError& error) {
    if (error.failure() != TrackerFailure::kInvalid) throw;
    if (items.size() == 1) {
      refuse(items.front(), error);
      return;
    }
    const size_t half = items.size() / 2;
    send_halving(items.first(half), send, refuse);
    send_halving(items.subspan(half), send, refuse);
  }
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
    std::erase_if(chunk.items, [lane](const JournalChunk::Item& item) {
      return !belongs_to(lane, item.entry.kind);
    });
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
  for (const auto& journal : find_journals(folder_))
    shipped += ship_tail(lane, tail_of(lane, journal));
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
  save();
}

/// Params, metrics and tags from `tail.next` on, as many as one request of each
/// kind takes. Returns the number of entries that went; 0 when the next one is
/// of another kind.
size_t ShippingSession::ship_group(const Tail& tail) {
  std::vector<MetricPoint> points;
  std::map<std::string, std::string> params, tags;
  size_t count = 0;
  for (size_t i = tail.next; i < tail.items.size(); ++i, ++count) {
    const Entry& entry = tail.items[i].entry;
    if (entry.kind == EntryKind::kMetric && points.size() < kMaxBatchMetrics) {
      points.push_back({entry.key, entry.number, entry.time_ms, entry.step});
    } else if (entry.kind == EntryKind::kParam && params.size() < kMaxBatchParams) {
      params.emplace(entry.key, entry.value);
    } else if (entry.kind == EntryKind::kTag && tags.size() < kMaxBatchTags) {
      tags[entry.key] = entry.value;
    } else {
      break;
    }
  }
  const std::string& run_id = run_->run_id;
  // Apart from each other: one refused param would take the metrics of its
  // request with it.
  ship_params({params.begin(), params.end()});
  send_halving(
      std::span<const MetricPoint>(points),
      [&](const std::vector<MetricPoint>& part) { client_.log_metrics(run_id, part); },
      [&](const MetricPoint& point, const TrackerError& error) {
        refuse("metric '" + point.key + "' of step " + std::to_string(point.step), error.what());
      });
  const KeyValues tag_list(tags.begin(), tags.end());
  send_halving(
      std::span<const KeyValues::value_type>(tag_list),
      [&](const KeyValues& part) { client_.set_tags(run_id, part); },
      [&](const auto& tag, const TrackerError& error) {
        refuse("tag '" + tag.first + "'", error.what());
      });
  return count;
}

void ShippingSession::ship_params(const KeyValues& params) {
  send_halving(
      std::span<const KeyValues::value_type>(params),
      [&](const KeyValues& part) { client_.log_params(run_->run_id, part); },
      [&](const auto& param, const TrackerError& error) {
        try {
          // A param cannot be changed at the tracker; a tag says what it
          // became.
          client_.set_tags(run_->run_id, {{"param_changed." + param.first, param.second}});
          spdlog::warn(
              "tracking: param '{}' stands at the tracker with another value; "
              "tag 'param_changed.{}' holds this run's",
              param.first,
              param.first);
        } catch (const TrackerError& second) {
          if (second.failure() != TrackerFailure::kInvalid) throw;
          refuse("param '" + param.first + "'", error.what());
        }
      });
}

void ShippingSession::ship_alone(const Tail& tail, const Entry& entry) {
  try {
    if (entry.kind == EntryKind::kDataset) {
      client_.log_dataset(run_->run_id, {entry.key, entry.value, entry.file, entry.path});
    } else if (tail.primary && entry.kind == EntryKind::kAttempt) {
      client_.update_run(run_->run_id, "RUNNING", 0);
    } else if (tail.primary && entry.kind == EntryKind::kStatus) {
      client_.update_run(run_->run_id, entry.value, entry.time_ms);
    }
  } catch (const TrackerError& error) {
    if (error.failure() != TrackerFailure::kInvalid) throw;
    refuse(entry.kind == EntryKind::kDataset ? "dataset '" + entry.value + "'"
                                             : "status '" + entry.value + "'",
           error.what());
  }
}

void ShippingSession::ship_file(const Entry& entry) {
  const std::filesystem::path file = folder_ / entry.file;
  try {
    if (!std::filesystem::is_regular_file(file)) {
      throw InputError("'" + file.string() + "' is not there any more");
    }
    if (entry.kind == EntryKind::kImage) {
      const auto paths = step_image_paths(entry.key, entry.step, entry.time_ms, entry.path);
      // Made first: an image without a thumbnail shows as broken.
      const std::string thumbnail = make_thumbnail(file);
      client_.upload_file(*run_, file, paths.image);
      client_.upload_bytes(*run_, thumbnail, paths.thumbnail);
    } else {
      const std::string name = file.filename().string();
      client_.upload_file(*run_, file, entry.path.empty() ? name : entry.path + "/" + name);
    }
  } catch (const InputError& error) {
    refuse("file '" + entry.file + "'", error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    refuse("file '" + entry.file + "'", error.what());
  } catch (const TrackerError& error) {
    if (error.failure() != TrackerFailure::kInvalid) throw;
    refuse("file '" + entry.file + "'", error.what());
  }
}

void ShippingSession::refuse(const std::string& what, const std::string& reason) {
  if (++refused_ <= kNamedRefusals) {
    spdlog::warn("tracking: {} is not at the tracker: {}", what, reason);
  } else if (refused_ == kNamedRefusals + 1) {
    spdlog::warn("tracking: more entries are refused; they stay in the journal");
  }
}

void ShippingSession::save() {
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
          return belongs_to(lane, item.entry.kind);
        });
      }
    }
  }
  return count;
}

}  // namespace limewash::tracking
