#pragma once
// MLflow's REST interface (3.x), as far as a training run needs it. One request
// a call, no retries: every call but `create_run` may be repeated as often as
// needed, and `find_run` makes that one safe too.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tracking/http.h"

namespace limewash::tracking {

using KeyValues = std::vector<std::pair<std::string, std::string>>;

/// MLflow's limits of one log-batch, and of values that it would otherwise cut
/// without a word.
inline constexpr size_t kMaxBatchMetrics = 1000;
inline constexpr size_t kMaxBatchParams = 100;
inline constexpr size_t kMaxBatchTags = 100;
inline constexpr size_t kMaxParamBytes = 6000;
inline constexpr size_t kMaxTagBytes = 8000;

struct MetricPoint {
  std::string key;
  double value = 0;
  int64_t time_ms = 0;
  int64_t step = 0;
};

struct TrackerRun {
  std::string run_id, experiment_id, artifact_uri, status;
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

/// `value` cut to `max_bytes` at a character's border, with a note of what was
/// cut; as it is when it fits.
std::string shorten(const std::string& value, size_t max_bytes);

/// The URL that takes an artifact of a run by PUT; empty when the run's store
/// is not behind the server.
std::optional<std::string> artifact_url(const std::string& tracking_uri,
                                        const std::string& artifact_uri,
                                        const std::string& path);

/// What an answer means; empty for success.
std::optional<TrackerError> classify_answer(const HttpAnswer& answer, const std::string& call);

/// All methods throw TrackerError.
class MlflowClient {
 public:
  explicit MlflowClient(TrackerAddress address,
                        HttpLimits limits = {},
                        const std::atomic<bool>* stop = nullptr);

  /// The id of the experiment, created or restored when needed.
  std::string ensure_experiment(const std::string& name);
  /// The run with this client key; the earliest, should there be several.
  std::optional<TrackerRun> find_run(const std::string& experiment_id,
                                     const std::string& client_run_key);
  /// Not to be repeated without `find_run` in between.
  TrackerRun create_run(const NewRun& run);
  TrackerRun get_run(const std::string& run_id);
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

  /// Store a file, or bytes, under `path` (folders by "/"). Through the
  /// artifact proxy, or, where the server has none, by the upload of its web
  /// page, which takes 10 MB.
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
  void upload(const TrackerRun& run, HttpRequest request, uint64_t size, const std::string& path);

  HttpSession session_;
};

}  // namespace limewash::tracking
