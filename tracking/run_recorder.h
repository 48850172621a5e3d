#pragma once
// What a training run records. Everything goes to the journal first
// (runs/NAME/journal-WRITER.jsonl); when a tracker is configured a thread ships
// it. Nothing here ever throws into training or blocks it.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/config.h"

namespace limewash::tracking {

/// MLFLOW_EXPERIMENT_NAME, or "limewash".
std::string default_experiment();
/// MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL, or 10 seconds; 0 where
/// MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING is "false".
double default_system_metrics_interval();
inline constexpr double kShortestSystemInterval = 0.1, kLongestSystemInterval = 86400;

/// `tracking`.
struct TrackingOptions {
  std::string uri;  ///< http(s)://...; "" takes MLFLOW_TRACKING_URI; neither:
                    ///< journal only
  std::string experiment = default_experiment();
  /// The run that this one is nested under: its folder, its run id at the tracker, or its client
  /// key; "" for none.
  std::string parent;
  std::string note;  ///< the run's description on MLflow's page, Markdown
  /// Seconds between readings of CPU, memory, disk, network and GPUs; 0: none.
  double system_metrics_every = default_system_metrics_interval();
  void describe(config::Fields& fields);
  void validate() const;
};

enum class RunStatus { kFinished, kFailed, kKilled };

class RunRecorder {
 public:
  /// Open or continue the run in `folder` (runs/NAME). A repaired torn tail and
  /// points already journalled are remembered, so that a point is never
  /// journalled twice. `writer` names this process's journal; the attempts and
  /// endings of "trainer" are the run's. Throws InputError when the folder
  /// cannot be written.
  RunRecorder(const TrackingOptions& options,
              const std::filesystem::path& folder,
              const std::string& run_name,
              const std::string& writer = "trainer");
  /// Without a `close` before it the attempt counts as failed.
  ~RunRecorder();

  /// What a child run's `tracking.parent` may name, besides this run's folder.
  std::string client_key() const;

  void params(const std::vector<std::pair<std::string, std::string>>& params);
  void tag(const std::string& key, const std::string& value);
  /// One point. (key, step) already journalled: not again; a different value is
  /// warned of.
  void metric(const std::string& key, double value, int64_t step);
  /// A file below the run folder, by its relative path, stored under
  /// `artifact_path` at the tracker.
  void artifact(const std::filesystem::path& relative_file, const std::string& artifact_path);
  /// A step image that MLflow's page shows (png), with its thumbnail.
  void step_image(const std::string& key, const std::filesystem::path& relative_png, int64_t step);
  /// The dataset that training or validation reads ("training", "validation").
  void dataset(const std::string& context,
               const std::string& name,
               const std::string& digest,
               const std::string& source);
  /// Everything recorded so far is on disk afterwards: call it before a
  /// checkpoint is published, so that no point is lost that will not be
  /// computed again.
  void flush();
  /// End the attempt: journal the status, give the shipper up to `seconds` to
  /// drain, say in one line what was left. Training never fails for it.
  void close(RunStatus status, double seconds = 10);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Ship the journals of a run folder to the tracker until nothing is left:
/// `limewash runs sync`. Returns the number of entries shipped; throws
/// InputError when the tracker refuses or is not there.
int64_t sync_run(const TrackingOptions& options, const std::filesystem::path& folder);

/// Ship the whole run into another server, whatever was shipped to the one that it belongs to,
/// whose state stays as it is: `limewash runs replay`. The run keeps its client key, so that a
/// second replay, or one that was interrupted, completes the same run there. Returns and throws as
/// `sync_run`.
int64_t replay_run(const TrackingOptions& options, const std::filesystem::path& folder);

}  // namespace limewash::tracking
