#include "tracking/run_recorder.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <mutex>
#include <set>

#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "tracking/journal.h"
#include "tracking/recorded_entries.h"
#include "tracking/run_source.h"
#include "tracking/shipper.h"
#include "tracking/system_metrics.h"
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

/// The key of the run in `parent` (a folder), or `parent` itself.
std::string parent_key(const std::string& parent) {
  std::error_code error;
  if (!std::filesystem::is_directory(parent, error)) {
    const bool plain = std::all_of(parent.begin(), parent.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '-' || c == '_';
    });
    if (!plain) {
      throw InputError("'" + parent + "' is neither a run folder nor a run id or client key");
    }
    return parent;
  }
  const auto attempts = find_attempts(parent);
  if (attempts.empty()) throw InputError("'" + parent + "' holds no journal of a run");
  return attempts.front().key;
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

Entry make_entry(EntryKind kind) {
  Entry entry;
  entry.kind = kind;
  entry.time_ms = now_ms();
  return entry;
}

}  // namespace

struct RunRecorder::Impl {
  std::string run_name;
  std::filesystem::path folder;
  std::string tracker_uri;
  std::string writer;
  std::mutex mutex;
  RecordedEntries journalled;
  std::set<std::string> warned_keys;
  int64_t different_repeats = 0;
  std::unique_ptr<JournalWriter> journal;
  std::unique_ptr<Shipper> shipper;
  bool closed = false;
  std::mutex sampler_mutex;  // never taken while `mutex` is held
  std::unique_ptr<SystemSampler> sampler;

  void open(const TrackingOptions& options);
  void describe_run(const TrackingOptions& options);
  void describe_source();
  void start_sampling(double seconds);
  void stop_sampling() noexcept;
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
    describe_run(options);
    describe_source();
    start_sampling(options.system_metrics_every);
  }
  start_shipping(options);
}

void RunRecorder::Impl::describe_run(const TrackingOptions& options) {
  put_tag("limewash.version", LIMEWASH_VERSION);
  put_tag("mlflow.runName", run_name);
  put_tag("mlflow.user", user_name());
  if (!options.note.empty()) put_tag("mlflow.note.content", options.note);
  if (options.parent.empty()) return;
  try {
    put_tag(kParentRunKeyTag, parent_key(options.parent));
  } catch (const InputError& error) {
    spdlog::warn("tracking.parent: {}; the run is not shown under a parent", error.what());
  }
}

void RunRecorder::Impl::describe_source() {
  put_tag("mlflow.source.type", "LOCAL");
  put_tag("mlflow.source.name", program_name());
  std::error_code error;  // without a working folder there is no checkout either
  const GitCheckout git = read_git_checkout(std::filesystem::current_path(error));
  if (!git.commit.empty()) put_tag("mlflow.source.git.commit", git.commit);
  if (!git.branch.empty()) put_tag("mlflow.source.git.branch", git.branch);
  if (!git.repository.empty()) put_tag("mlflow.source.git.repoURL", git.repository);
  if (git.dirty) put_tag("mlflow.source.git.dirty", *git.dirty ? "True" : "False");
}

void RunRecorder::Impl::start_sampling(double seconds) {
  if (seconds <= 0) return;
  const std::string prefix = system_metrics_prefix();
  // A counter and not the training step, as MLflow does; it goes on after a resume.
  int64_t next = journalled.next_step(prefix);
  sampler = std::make_unique<SystemSampler>(
      std::chrono::duration<double>(seconds),
      [place = folder] { return std::make_unique<SystemMonitor>(place, Nvml::load()); },
      [this, prefix, next](const NamedValues& values) mutable {
        guarded([&] {
          for (const auto& [name, value] : values) put_metric(prefix + name, value, next);
        });
        ++next;
      });
}

void RunRecorder::Impl::stop_sampling() noexcept {
  try {
    const std::lock_guard lock(sampler_mutex);
    sampler.reset();
  } catch (const std::exception& error) {
    report(error.what());
  }
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
  if (const auto recorded = journalled.metrics[key].find(step)) {
    if (same_value(*recorded, value)) return;
    ++different_repeats;
    if (warned_keys.insert(key).second) {
      spdlog::warn(
          "tracking: '{}' of step {} was {} before and is {} now; the "
          "first stays in the record",
          key,
          step,
          *recorded,
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

std::string RunRecorder::client_key() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->journalled.run_key;
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
  // Outside of the recorder's mutex: a reading under way records with it.
  impl_->stop_sampling();
  impl_->guarded([&] { impl_->finish(status, seconds); });
}

}  // namespace limewash::tracking
