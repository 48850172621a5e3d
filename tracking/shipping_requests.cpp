// What a ShippingSession sends: entries become requests.

#include <span>

#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "tracking/shipping_session.h"
#include "tracking/step_image.h"

namespace limewash::tracking {
namespace {

/// Refusals named one by one; the rest is only counted.
constexpr int64_t kNamedRefusals = 10;
constexpr auto kParentInterval = std::chrono::seconds(20);

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

}  // namespace

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
      if (takes_key("metric", entry.key)) {
        points.push_back({entry.key, entry.number, entry.time_ms, entry.step});
      }
    } else if (entry.kind == EntryKind::kParam && params.size() < kMaxBatchParams) {
      if (takes_key("param", entry.key)) params.emplace(entry.key, entry.value);
    } else if (entry.kind == EntryKind::kTag && tags.size() < kMaxBatchTags) {
      if (takes_key("tag", entry.key)) tags[entry.key] = entry.value;
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
  if (const auto parent = tags.find(kParentRunKeyTag); parent != tags.end()) {
    state_.unlinked_parent = parent->second;
    parent_due_ = {};
  }
  return count;
}

/// Whether MLflow takes the key; a key that it does not take is named once. Asking the server
/// would cost a request for each point.
bool ShippingSession::takes_key(const char* what, const std::string& key) {
  const std::string problem = key_problem(key);
  if (problem.empty()) return true;
  const std::string name = std::string(what) + " '" + key.substr(0, 300) + "'";
  if (refused_keys_.insert(name).second) {
    refuse(name, problem);
  } else {
    ++refused_;
  }
  return false;
}

/// The parent may come to the tracker later than its children: asked for again now and then, and
/// by `runs sync`.
void ShippingSession::link_parent() {
  const auto now = std::chrono::steady_clock::now();
  if (state_.unlinked_parent.empty() || now < parent_due_) return;
  parent_due_ = now + kParentInterval;
  std::optional<TrackerRun> parent;
  try {
    parent = client_.find_run(state_.experiment_id, state_.unlinked_parent);
    if (!parent) parent = client_.get_run(state_.unlinked_parent);
  } catch (const TrackerError& error) {
    if (error.failure() != TrackerFailure::kNotFound &&
        error.failure() != TrackerFailure::kInactive && error.failure() != TrackerFailure::kInvalid)
      throw;
  }
  if (!parent || parent->run_id == run_->run_id) return;
  client_.set_tags(run_->run_id, {{"mlflow.parentRunId", parent->run_id}});
  state_.unlinked_parent.clear();
  changed_ = true;
}

/// A creation whose answer was late may have left a second, empty run with our key behind.
void ShippingSession::remove_empty_doubles() {
  for (const TrackerRun& run : client_.find_runs(state_.experiment_id, state_.client_run_key)) {
    if (run.run_id == run_->run_id || !run.active || run.has_metrics) continue;
    client_.delete_run(run.run_id);
    spdlog::info(
        "tracking: run {}, an empty double of this one, was deleted at {}", run.run_id, state_.uri);
  }
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
      remove_empty_doubles();
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
  const std::string what =
      entry.file.empty() ? "long value '" + entry.key + "'" : "file '" + entry.file + "'";
  try {
    if (entry.kind == EntryKind::kParam || entry.kind == EntryKind::kTag) {
      const bool param = entry.kind == EntryKind::kParam;
      if (!key_problem(entry.key).empty()) return;
      client_.upload_bytes(*run_, entry.value, long_value_path(param, entry.key));
      return;
    }
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
    refuse(what, error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    refuse(what, error.what());
  } catch (const TrackerError& error) {
    if (error.failure() != TrackerFailure::kInvalid) throw;
    refuse(what, error.what());
  }
}

void ShippingSession::refuse(const std::string& what, const std::string& reason) {
  if (++refused_ <= kNamedRefusals) {
    spdlog::warn("tracking: {} is not at the tracker: {}", what, reason);
  } else if (refused_ == kNamedRefusals + 1) {
    spdlog::warn("tracking: more entries are refused; they stay in the journal");
  }
}

}  // namespace limewash::tracking
