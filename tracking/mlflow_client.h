#pragma once
// MLflow's REST interface (3.x), as far as a training run needs it. One request
// a call, no retries: every call but `create_run` may be repeated as often as
// needed, and `find_run` makes that one safe too.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tracking/artifact_upload.h"
#include "tracking/http.h"
#include "tracking/mlflow_answer.h"
#include "tracking/mlflow_names.h"

namespace limewash::tracking {

using KeyValues = std::vector<std::pair<std::string, std::string>>;

struct MetricPoint {
  std::string key;
  double value = 0;
  int64_t time_ms = 0;
  int64_t step = 0;
};

struct TrackerRun {
  std::string run_id, experiment_id, artifact_uri, status;
  bool active = true;  ///< not deleted
  bool has_metrics = false;
};

struct NewRun {
  std::string experiment_id, name, user, client_run_key;
  int64_t start_time_ms = 0;
};

struct DatasetInput {
  std::string context, name, digest, source;
};

/// The tag that finds a run again whose creation was answered by silence.
inline constexpr const char* kClientRunKeyTag = "limewash.client_run_key";
/// The tag that names the parent by its client key, or by its run id.
inline constexpr const char* kParentRunKeyTag = "limewash.parent_run_key";

/// All methods throw TrackerError.
class MlflowClient {
 public:
  explicit MlflowClient(TrackerAddress address,
                        HttpLimits limits = {},
                        const std::atomic<bool>* stop = nullptr,
                        UploadLimits upload_limits = {});

  /// The id of the experiment, created or restored when needed.
  std::string ensure_experiment(const std::string& name);
  /// All runs with this client key, deleted ones too.
  std::vector<TrackerRun> find_runs(const std::string& experiment_id,
                                    const std::string& client_run_key);
  /// The run with this client key; the earliest that is not deleted, should there be several.
  std::optional<TrackerRun> find_run(const std::string& experiment_id,
                                     const std::string& client_run_key);
  /// Not to be repeated without `find_run` in between.
  TrackerRun create_run(const NewRun& run);
  TrackerRun get_run(const std::string& run_id);
  /// It can be restored on MLflow's page.
  void delete_run(const std::string& run_id);
  /// Sets the status, and checks that it was taken: MLflow ignores one that it
  /// does not know. `end_time_ms` 0 leaves the end time.
  void update_run(const std::string& run_id, const std::string& status, int64_t end_time_ms);

  /// At most kMaxBatch... each. A batch is stored whole or not at all. Values
  /// that are too long are cut with a note; NaN and infinities are sent as text
  /// (MLflow keeps infinities as the largest double).
  void log_metrics(const std::string& run_id, const std::vector<MetricPoint>& points);
  void log_params(const std::string& run_id, const KeyValues& params);
  void set_tags(const std::string& run_id, const KeyValues& tags);
  void log_dataset(const std::string& run_id, const DatasetInput& dataset);

  /// Store a file, or bytes, under `path` (folders by "/"): tracking/artifact_upload.h.
  void upload_file(const TrackerRun& run,
                   const std::filesystem::path& file,
                   const std::string& path);
  void upload_bytes(const TrackerRun& run, const std::string& bytes, const std::string& path);

  const TrackerAddress& address() const {
    return session_.address();
  }

 private:
  std::string call(const std::string& method,
                   const std::string& endpoint,
                   const std::string& query_or_body,
                   bool once = false);

  HttpSession session_;
  UploadLimits upload_limits_;
};

}  // namespace limewash::tracking
