#include "tracking/run_recorder.h"

#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "tracking/journal.h"
#include "tracking/run_source.h"
#include "tracking/shipper.h"
#include "tracking/tracker_address.h"

namespace limewash::tracking {
namespace {

/// Whether the path stays below the folder that it counts from.
bool stays_below(const std::filesystem::path& relative) {
  if (relative.empty() || relative.is_absolute()) return false;
  for (const auto& part : relative.lexically_normal()) {
    if (part == "..") return false;
  }
  return true;
}

bool same_value(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || a == b;
}

const char* status_name(RunStatus status) {
  switch (status) {
    case RunStatus::kFinished:
      return "FINISHED";
    case RunStatus::kFailed:
      return "FAILED";
    case RunStatus::kKilled:
      return "KILLED";
  }
  return "FAILED";
}

/// 8-4-4-4-12, as MLflow names its images.
std::string dashed(const std::string& identity) {
  std::string text = identity;
  for (const size_t place : {8, 13, 18, 23}) text.insert(place, "-");
  return text;
}

/// What the journals hold already.
struct Journalled {
  std::unordered_map<std::string, std::unordered_map<int64_t, double>> metrics;
  std::map<std::string, std::string> params, tags;
  std::set<std::pair<std::string, int64_t>> images;
  std::set<std::string> datasets;
  std::string run_key;
  int64_t run_key_time = 0;
  int64_t attempts = 0;

  void remember(const Entry& entry);
};

std::string dataset_identity(const Entry& entry) {
  return entry.key + '\n' + entry.value + '\n' + entry.file + '\n' + entry.path;
}

void Journalled::remember(const Entry& entry) {
  switch (entry.kind) {
    case EntryKind::kMetric:
      metrics[entry.key].emplace(entry.step, entry.number);
      break;
    case EntryKind::kParam:
      params.emplace(entry.key, entry.value);
      break;
    case EntryKind::kTag:
      tags[entry.key] = entry.value;
      break;
    case EntryKind::kImage:
      images.emplace(entry.key, entry.step);
      break;
    case EntryKind::kDataset:
      datasets.insert(dataset_identity(entry));
      break;
    case EntryKind::kAttempt:
      ++attempts;
      if (run_key.empty() || entry.time_ms < run_key_time) {
        run_key = entry.key;
        run_key_time = entry.time_ms;
      }
      break;
    case EntryKind::kArtifact:
    case EntryKind::kStatus:
      break;
  }
}

Entry make_entry(EntryKind kind) {
  Entry entry;
  entry.kind = kind;
  entry.time_ms = now_ms();
  return entry;
}

}  // namespace

void TrackingOptions::describe(config::Fields& fields) {
  fields.field("uri", uri, "MLflow server, http(s)://...; \"\" takes MLFLOW_TRACKING_URI, or none");
  fields.field("experiment", experiment, "MLflow experiment that the run belongs to");
}

void TrackingOptions::validate() const {
  if (has_credentials(uri)) {
    throw ConfigError(
        "tracking.uri: credentials do not belong into a configuration; set "
        "MLFLOW_TRACKING_USERNAME and "
        "MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN)");
  }
  if (!uri.empty() && !is_http_uri(uri)) {
    throw ConfigError("tracking.uri: '" + uri + "' is not http://HOST:PORT or https://HOST");
  }
  if (experiment.empty() || experiment.size() > 500) {
    throw ConfigError("tracking.experiment: '" + experiment.substr(0, 40) +
                      "': expected a name of 1 to 500 characters");
  }
}

struct RunRecorder::Impl {
  std::string run_name;
  std::filesystem::path folder;
  std::string tracker_uri;
  std::string writer;
  std::mutex mutex;
  Journalled journalled;
  std::set<std::string> warned_keys;
  int64_t different_repeats = 0;
  std::unique_ptr<JournalWriter> journal;
  std::unique_ptr<Shipper> shipper;
  bool closed = false;

  void open(const TrackingOptions& options);
  void start_shipping(const TrackingOptions& options);
  void put(const Entry& entry);
  void put_tag(const std::string& key, const std::string& value);
  void put_metric(const std::string& key, double value, int64_t step);
  void finish(RunStatus status, double seconds);

  /// Recording must not end a run, whatever goes wrong in it.
  template <class Function>
  void guarded(const Function& function) noexcept {
    try {
      const std::lock_guard lock(mutex);
      if (!closed) function();
    } catch (const std::exception& error) {
      report(error.what());
    } catch (...) {
      report("unknown reason");
    }
  }

  static void report(const char* reason) noexcept {
    try {
      spdlog::error("tracking: an entry was not recorded: {}", reason);
    } catch (...) {
      return;
    }
  }
};

void RunRecorder::Impl::open(const TrackingOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw InputError("cannot write '" + folder.string() + "': " + error.message());
  journal = std::make_unique<JournalWriter>(journal_path(folder, writer));
  for (const auto& path : find_journals(folder)) {
    const bool own = path == journal_path(folder, writer);
    const int64_t attempts_before = journalled.attempts;
    JournalReader reader(path);
    for (bool more = true; more;) {
      const JournalChunk chunk = reader.read();
      more = chunk.more;
      for (const auto& item : chunk.items) journalled.remember(item.entry);
      for (const auto& problem : chunk.problems)
        spdlog::warn("{}; the line is passed over", problem);
    }
    if (!own) journalled.attempts = attempts_before;
  }

  Entry attempt = make_entry(EntryKind::kAttempt);
  attempt.key = journalled.run_key.empty() ? random_identity() : journalled.run_key;
  attempt.value = run_name;
  put(attempt);
  const std::string prefix = writer == kPrimaryWriter ? "limewash." : "limewash." + writer + ".";
  put_tag(prefix + "attempts", std::to_string(journalled.attempts));
  if (writer == kPrimaryWriter) {
    put_tag("limewash.version", LIMEWASH_VERSION);
    put_tag("mlflow.runName", run_name);
    put_tag("mlflow.user", user_name());
    put_tag("mlflow.source.type", "LOCAL");
    put_tag("mlflow.source.name", program_name());
    const std::string commit = git_commit(std::filesystem::current_path(error));
    if (!commit.empty()) put_tag("mlflow.source.git.commit", commit);
  }
  start_shipping(options);
}

void RunRecorder::Impl::start_shipping(const TrackingOptions& options) {
  try {
    const TrackerAddress address = tracker_address_from_environment(options.uri);
    if (address.uri.empty()) return;
    tracker_uri = address.uri;
    shipper = std::make_unique<Shipper>(address, options.experiment, folder);
  } catch (const std::exception& problem) {
    spdlog::warn("tracking: {}; this run is recorded in its journal only", problem.what());
  }
}

void RunRecorder::Impl::put(const Entry& entry) {
  journalled.remember(entry);
  journal->append(entry);
}

void RunRecorder::Impl::put_tag(const std::string& key, const std::string& value) {
  const auto it = journalled.tags.find(key);
  if (it != journalled.tags.end() && it->second == value) return;
  Entry entry = make_entry(EntryKind::kTag);
  entry.key = key;
  entry.value = value;
  put(entry);
}

void RunRecorder::Impl::put_metric(const std::string& key, double value, int64_t step) {
  auto& points = journalled.metrics[key];
  if (const auto it = points.find(step); it != points.end()) {
    if (same_value(it->second, value)) return;
    ++different_repeats;
    if (warned_keys.insert(key).second) {
      spdlog::warn(
          "tracking: '{}' of step {} was {} before and is {} now; the "
          "first stays in the record",
          key,
          step,
          it->second,
          value);
    }
    return;
  }
  Entry entry = make_entry(EntryKind::kMetric);
  entry.key = key;
  entry.number = value;
  entry.step = step;
  put(entry);
}

void RunRecorder::Impl::finish(RunStatus status, double seconds) {
  Entry entry = make_entry(EntryKind::kStatus);
  entry.value = status_name(status);
  put(entry);
  closed = true;
  if (different_repeats > static_cast<int64_t>(warned_keys.size())) {
    spdlog::warn("tracking: {} repeated points differed from what was recorded before",
                 different_repeats);
  }
  journal->close();
  if (!shipper) return;
  const Shipper::Outcome outcome = shipper->drain(seconds);
  shipper.reset();
  if (outcome != Shipper::Outcome::kLeft) return;
  const int64_t left = ShippingSession::count_unshipped(folder, tracker_uri);
  if (left == 0) return;
  spdlog::warn(
      "tracking: {} entries are not at {} yet; they are safe in '{}'; "
      "ship them by 'limewash runs "
      "sync {}'",
      left,
      tracker_uri,
      folder.string(),
      run_name);
}

RunRecorder::RunRecorder(const TrackingOptions& options,
                         const std::filesystem::path& folder,
                         const std::string& run_name,
                         const std::string& writer)
    : impl_(std::make_unique<Impl>()) {
  impl_->run_name = run_name;
  impl_->folder = folder;
  impl_->writer = writer;
  impl_->open(options);
}

RunRecorder::~RunRecorder() {
  close(RunStatus::kFailed, 2);
}

void RunRecorder::params(const std::vector<std::pair<std::string, std::string>>& params) {
  impl_->guarded([&] {
    for (const auto& [key, value] : params) {
      const auto it = impl_->journalled.params.find(key);
      if (it == impl_->journalled.params.end()) {
        Entry entry = make_entry(EntryKind::kParam);
        entry.key = key;
        entry.value = value;
        impl_->put(entry);
      } else if (it->second != value) {
        // A tracker takes a param once; what it became is a tag.
        impl_->put_tag("param_changed." + key, value);
      }
    }
  });
}

void RunRecorder::tag(const std::string& key, const std::string& value) {
  impl_->guarded([&] { impl_->put_tag(key, value); });
}

void RunRecorder::metric(const std::string& key, double value, int64_t step) {
  impl_->guarded([&] { impl_->put_metric(key, value, step); });
}

void RunRecorder::artifact(const std::filesystem::path& relative_file,
                           const std::string& artifact_path) {
  impl_->guarded([&] {
    if (!stays_below(relative_file)) {
      throw InputError("'" + relative_file.string() + "' is not below the run folder");
    }
    Entry entry = make_entry(EntryKind::kArtifact);
    entry.file = relative_file.lexically_normal().string();
    entry.path = artifact_path;
    impl_->put(entry);
  });
}

void RunRecorder::step_image(const std::string& key,
                             const std::filesystem::path& relative_png,
                             int64_t step) {
  impl_->guarded([&] {
    if (!stays_below(relative_png)) {
      throw InputError("'" + relative_png.string() + "' is not below the run folder");
    }
    if (impl_->journalled.images.contains({key, step})) return;
    Entry entry = make_entry(EntryKind::kImage);
    entry.key = key;
    entry.step = step;
    entry.file = relative_png.lexically_normal().string();
    entry.path = dashed(random_identity());
    impl_->put(entry);
    impl_->put_tag("mlflow.loggedImages", "True");
  });
}

void RunRecorder::dataset(const std::string& context,
                          const std::string& name,
                          const std::string& digest,
                          const std::string& source) {
  impl_->guarded([&] {
    Entry entry = make_entry(EntryKind::kDataset);
    entry.key = context;
    entry.value = name;
    entry.file = digest;
    entry.path = source;
    if (!impl_->journalled.datasets.contains(dataset_identity(entry))) impl_->put(entry);
  });
}

void RunRecorder::flush() {
  // Not guarded: a sync may take long, and others may record meanwhile.
  impl_->journal->sync();
}

void RunRecorder::close(RunStatus status, double seconds) {
  impl_->guarded([&] { impl_->finish(status, seconds); });
}

}  // namespace limewash::tracking
