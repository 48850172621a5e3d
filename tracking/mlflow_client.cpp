#include "tracking/mlflow_client.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include <nlohmann/json.hpp>

#include "tracking/entry.h"
#include "tracking/mlflow_answer.h"

namespace limewash::tracking {
namespace {

using nlohmann::json;

constexpr const char* kApi = "/api/2.0/mlflow/";

/// Text that every one of MLflow's databases takes.
std::string clean(const std::string& text) {
  std::string result = text;
  std::replace(result.begin(), result.end(), '\0', ' ');
  return result;
}

std::string dump(const json& body) {
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

TrackerRun run_from_json(const json& run) {
  const json& info = run.at("info");
  TrackerRun result{info.at("run_id").get<std::string>(),
                    info.value("experiment_id", ""),
                    info.value("artifact_uri", ""),
                    info.value("status", "")};
  result.active = info.value("lifecycle_stage", "active") == "active";
  const auto data = run.find("data");
  result.has_metrics =
      data != run.end() && data->contains("metrics") && !data->at("metrics").empty();
  return result;
}

const TrackerRun& check_active(const TrackerRun& run) {
  if (run.active) return run;
  throw TrackerError(TrackerFailure::kInactive,
                     "run " + run.run_id + " was deleted at the tracker; restore it there");
}

/// Answers are checked by the one place that can name the call.
template <class Function>
auto parse_answer(const char* name, const std::string& body, Function function) {
  try {
    return function(json::parse(body));
  } catch (const json::exception& error) {
    throw TrackerError(TrackerFailure::kUnavailable,
                       std::string(name) + " was not answered as MLflow does: " + error.what());
  }
}

json key_values(const KeyValues& values, size_t max_bytes) {
  json list = json::array();
  for (const auto& [key, value] : values) {
    list.push_back({{"key", clean(key)}, {"value", shorten(clean(value), max_bytes, kLongValues)}});
  }
  return list;
}

}  // namespace

MlflowClient::MlflowClient(TrackerAddress address,
                           HttpLimits limits,
                           const std::atomic<bool>* stop,
                           UploadLimits upload_limits)
    : session_(std::move(address), limits, stop), upload_limits_(upload_limits) {}

std::string MlflowClient::call(const std::string& method,
                               const std::string& endpoint,
                               const std::string& query_or_body,
                               bool once) {
  HttpRequest request;
  request.once = once;
  request.method = method;
  request.url = address().uri + kApi + endpoint;
  if (method == "GET") {
    request.url += "?" + query_or_body;
  } else {
    request.content_type = "application/json";
    request.body = query_or_body;
  }
  HttpAnswer answer = session_.perform(request);
  if (const auto error = classify_answer(answer, endpoint)) throw *error;
  return std::move(answer.body);
}

std::string MlflowClient::ensure_experiment(const std::string& name) {
  const std::string query = "experiment_name=" + percent_encode(name);
  const auto look_up = [&] {
    const std::string body = call("GET", "experiments/get-by-name", query);
    return parse_answer("experiments/get-by-name", body, [](const json& answer) {
      const json& experiment = answer.at("experiment");
      return std::pair{experiment.at("experiment_id").get<std::string>(),
                       experiment.value("lifecycle_stage", "active") == "active"};
    });
  };
  std::pair<std::string, bool> found;
  try {
    found = look_up();
  } catch (const TrackerError& error) {
    if (error.failure() != TrackerFailure::kNotFound) throw;
    try {
      const std::string body = call("POST", "experiments/create", dump({{"name", name}}));
      return parse_answer("experiments/create", body, [](const json& answer) {
        return answer.at("experiment_id").get<std::string>();
      });
    } catch (const TrackerError& creation) {
      if (creation.failure() != TrackerFailure::kInvalid) throw;
      // Another run was faster. A name that is really refused fails here again.
      try {
        found = look_up();
      } catch (const TrackerError&) {
        throw creation;
      }
    }
  }
  if (!found.second) call("POST", "experiments/restore", dump({{"experiment_id", found.first}}));
  return found.first;
}

std::vector<TrackerRun> MlflowClient::find_runs(const std::string& experiment_id,
                                                const std::string& client_run_key) {
  // It stands between quotes in the filter, and may come from a user's configuration.
  const bool plain = std::all_of(client_run_key.begin(), client_run_key.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
  if (!plain) return {};
  const json body = {
      {"experiment_ids", json::array({experiment_id})},
      {"filter", "tags.`" + std::string(kClientRunKeyTag) + "` = '" + client_run_key + "'"},
      {"run_view_type", "ALL"},
      {"order_by", json::array({"attributes.start_time ASC"})},
      {"max_results", 100}};
  return parse_answer(
      "runs/search", call("POST", "runs/search", dump(body)), [](const json& answer) {
        std::vector<TrackerRun> found;
        const auto runs = answer.find("runs");
        if (runs == answer.end()) return found;
        for (const json& run : *runs) found.push_back(run_from_json(run));
        return found;
      });
}

std::optional<TrackerRun> MlflowClient::find_run(const std::string& experiment_id,
                                                 const std::string& client_run_key) {
  const auto runs = find_runs(experiment_id, client_run_key);
  if (runs.empty()) return std::nullopt;
  for (const TrackerRun& run : runs) {
    if (run.active) return run;
  }
  check_active(runs.front());
  return runs.front();
}

TrackerRun MlflowClient::create_run(const NewRun& run) {
  const json body = {
      {"experiment_id", run.experiment_id},
      {"run_name", clean(run.name)},
      {"user_id", clean(run.user)},
      {"start_time", run.start_time_ms},
      {"tags",
       key_values({{kClientRunKeyTag, run.client_run_key}, {"mlflow.user", run.user}},
                  kMaxTagBytes)}};
  return parse_answer("runs/create",
                      call("POST", "runs/create", dump(body), true),
                      [](const json& answer) { return run_from_json(answer.at("run")); });
}

TrackerRun MlflowClient::get_run(const std::string& run_id) {
  const std::string body = call("GET", "runs/get", "run_id=" + percent_encode(run_id));
  return parse_answer("runs/get", body, [](const json& answer) {
    return check_active(run_from_json(answer.at("run")));
  });
}

void MlflowClient::update_run(const std::string& run_id,
                              const std::string& status,
                              int64_t end_time_ms) {
  json body = {{"run_id", run_id}, {"status", status}};
  if (end_time_ms > 0) body["end_time"] = end_time_ms;
  const std::string taken =
      parse_answer("runs/update", call("POST", "runs/update", dump(body)), [](const json& answer) {
        return answer.at("run_info").at("status").get<std::string>();
      });
  if (taken != status) {
    throw TrackerError(
        TrackerFailure::kInvalid,
        "runs/update: the status '" + status + "' was not taken: it is '" + taken + "'");
  }
}

void MlflowClient::log_metrics(const std::string& run_id, const std::vector<MetricPoint>& points) {
  json list = json::array();
  for (const MetricPoint& point : points) {
    list.push_back(
        {{"key", clean(point.key)},
         {"value",
          std::isfinite(point.value) ? json(point.value) : json::parse(json_number(point.value))},
         {"timestamp", point.time_ms},
         {"step", point.step}});
  }
  call("POST", "runs/log-batch", dump({{"run_id", run_id}, {"metrics", list}}));
}

void MlflowClient::log_params(const std::string& run_id, const KeyValues& params) {
  const json body = {{"run_id", run_id}, {"params", key_values(params, kMaxParamBytes)}};
  call("POST", "runs/log-batch", dump(body));
}

void MlflowClient::set_tags(const std::string& run_id, const KeyValues& tags) {
  const json body = {{"run_id", run_id}, {"tags", key_values(tags, kMaxTagBytes)}};
  call("POST", "runs/log-batch", dump(body));
}

void MlflowClient::log_dataset(const std::string& run_id, const DatasetInput& dataset) {
  // The bounds are MLflow's: name 500, digest 36, source 64 KiB.
  const json source = {{"uri", shorten(clean(dataset.source), 32000)}};
  json input;
  input["tags"] = key_values({{"mlflow.data.context", dataset.context}}, kMaxTagBytes);
  input["dataset"] = {{"name", shorten(clean(dataset.name), 500)},
                      {"digest", clean(dataset.digest).substr(0, 36)},
                      {"source_type", "local"},
                      {"source", dump(source)}};
  const json body = {{"run_id", run_id}, {"datasets", json::array({input})}};
  call("POST", "runs/log-inputs", dump(body));
}

void MlflowClient::delete_run(const std::string& run_id) {
  call("POST", "runs/delete", dump({{"run_id", run_id}}));
}

void MlflowClient::upload_file(const TrackerRun& run,
                               const std::filesystem::path& file,
                               const std::string& path) {
  upload_artifact(session_, {run.run_id, run.artifact_uri, path}, file, upload_limits_);
}

void MlflowClient::upload_bytes(const TrackerRun& run,
                                const std::string& bytes,
                                const std::string& path) {
  upload_artifact_bytes(session_, {run.run_id, run.artifact_uri, path}, bytes);
}

}  // namespace limewash::tracking
