#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "runtime/environment.h"
#include "runtime/error.h"
#include "tracking/run_recorder.h"
#include "tracking/tracker_address.h"

namespace limewash::tracking {
std::string default_experiment() {
  const std::string name = environment_variable("MLFLOW_EXPERIMENT_NAME");
  return name.empty() ? "limewash" : name;
}

double default_system_metrics_interval() {
  std::string enabled = environment_variable("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING");
  std::transform(enabled.begin(), enabled.end(), enabled.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  if (enabled == "false" || enabled == "0") return 0;
  const double seconds =
      std::atof(environment_variable("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL").c_str());
  return seconds > 0 ? std::clamp(seconds, kShortestSystemInterval, kLongestSystemInterval) : 10;
}

void TrackingOptions::describe(config::Fields& fields) {
  fields.field("uri", uri, "MLflow server, http(s)://...; \"\" takes MLFLOW_TRACKING_URI, or none");
  fields.field("experiment", experiment, "MLflow experiment that the run belongs to");
  fields.field("parent",
               parent,
               "run that this one is shown under: its folder, its MLflow run id or its client key");
  fields.field("note", note, "description of the run on MLflow's page (Markdown)");
  fields.field("system_metrics_every",
               system_metrics_every,
               "seconds between readings of CPU, memory, disk, network and GPUs; 0: none",
               {0, kLongestSystemInterval});
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
  if (system_metrics_every > 0 && system_metrics_every < kShortestSystemInterval) {
    throw ConfigError("tracking.system_metrics_every: " + std::to_string(system_metrics_every) +
                      ": expected 0 or at least 0.1 seconds");
  }
}

}  // namespace limewash::tracking
