#include "tracking/mlflow_client.h"

#include <algorithm>
#include <array>
#include <system_error>

#include <nlohmann/json.hpp>

#include "tracking/entry.h"

namespace limewash::tracking {
namespace {

using nlohmann::json;

constexpr const char* kApi = "/api/2.0/mlflow/";
constexpr const char* kArtifactApi = "/api/2.0/mlflow-artifacts/artifacts/";
constexpr uint64_t kMaxPageUploadBytes = uint64_t{10} << 20;

/// Text that every one of MLflow's databases takes.
std::string clean(const std::string& text) {
  std::string result = text;
  std::replace(result.begin(), result.end(), '\0', ' ');
  return result;
}

std::string dump(const json& body) {
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// The first line of a text for a message, without what a terminal would obey.
std::string excerpt(const std::string& text) {
  std::string line = text.substr(0, std::min<size_t>(text.find_first_of("\r\n"), 300));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  return line;
}

TrackerRun run_from_json(const json& run) {
  const json& info = run.at("info");
  TrackerRun result{info.at("run_id").get<std::string>(),
                    info.value("experiment_id", ""),
                    info.value("artifact_uri", ""),
                    info.value("status", "")};
  if (info.value("lifecycle_stage", "active") != "active") {
    throw TrackerError(TrackerFailure::kInactive,
                       "run " + result.run_id + " was deleted at the tracker; restore it there");
  }
  return result;
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

std::string encode_path(const std::string& path) {
  std::string encoded;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) {
      if (!encoded.empty()) encoded += '/';
      encoded += percent_encode(path.substr(begin, end - begin));
    }
    begin = end + 1;
  }
  return encoded;
}

json key_values(const KeyValues& values, size_t max_bytes) {
  json list = json::array();
  for (const auto& [key, value] : values) {
    list.push_back({{"key", clean(key)}, {"value", shorten(clean(value), max_bytes)}});
  }
  return list;
}

}  // namespace

std::string shorten(const std::string& value, size_t max_bytes) {
  if (value.size() <= max_bytes) return value;
  const std::string note = "... [" + std::to_string(value.size()) + " bytes, whole in the journal]";
  size_t keep = max_bytes - std::min(max_bytes, note.size());
  while (keep > 0 && (static_cast<unsigned char>(value[keep]) & 0xC0) == 0x80) --keep;
  return value.substr(0, keep) + note;
}

std::optional<std::string> artifact_url(const std::string& tracking_uri,
                                        const std::string& artifact_uri,
                                        const std::string& path) {
  static const std::string kScheme = "mlflow-artifacts:";
  const std::string end = "/" + encode_path(path);
  if (artifact_uri.starts_with("http://") || artifact_uri.starts_with("https://")) {
    if (artifact_uri.find(kArtifactApi) == std::string::npos) return std::nullopt;
    return artifact_uri + end;
  }
  if (!artifact_uri.starts_with(kScheme)) return std::nullopt;
  std::string root = artifact_uri.substr(kScheme.size());
  std::string server = tracking_uri;
  if (root.starts_with("//")) {
    const size_t slash = std::min(root.find('/', 2), root.size());
    const std::string host = root.substr(2, slash - 2);
    if (!host.empty()) server = tracking_uri.substr(0, tracking_uri.find("://") + 3) + host;
    root = root.substr(slash);
  }
  return server + kArtifactApi + encode_path(root) + end;
}

std::optional<TrackerError> classify_answer(const HttpAnswer& answer, const std::string& call) {
  const json body = json::parse(answer.body, nullptr, false);
  if (answer.status >= 200 && answer.status < 300) {
    if (answer.body.empty() || body.is_object()) return std::nullopt;
    return TrackerError(TrackerFailure::kUnavailable,
                        call + ": the answer is not MLflow's: '" + excerpt(answer.body) + "'");
  }
  std::string code, message = excerpt(answer.body);
  if (body.is_object()) {
    if (const auto it = body.find("error_code"); it != body.end() && it->is_string()) {
      code = it->get<std::string>();
    }
    if (const auto it = body.find("message"); it != body.end() && it->is_string()) {
      message = it->get<std::string>();
    }
  }
  const auto contains = [&message](const char* text) {
    return message.find(text) != std::string::npos;
  };
  const std::string text = call + ": HTTP " + std::to_string(answer.status) +
                           (code.empty() ? "" : " " + code) + ": " + excerpt(message);
  const auto error = [&](TrackerFailure failure, const std::string& what) {
    return TrackerError(failure, what, answer.retry_after_seconds);
  };

  static constexpr std::array<long, 8> kTransient{408, 425, 429, 500, 502, 503, 504, 507};
  if (std::find(kTransient.begin(), kTransient.end(), answer.status) != kTransient.end()) {
    return error(TrackerFailure::kUnavailable, text);
  }
  if (answer.status == 403 && contains("Invalid Host header")) {
    return error(TrackerFailure::kHostHeader,
                 "the tracker refuses the host name in its address; start it with "
                 "'mlflow server --allowed-hosts HOST,HOST:PORT', or use its IP "
                 "address");
  }
  if (answer.status == 401 || answer.status == 403 || answer.status == 407) {
    return error(TrackerFailure::kAuthentication,
                 text +
                     "; check MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD or "
                     "MLFLOW_TRACKING_TOKEN");
  }
  if (answer.status == 413) return error(TrackerFailure::kInvalid, text);
  if (code.empty()) return error(TrackerFailure::kNotMlflow, text);
  if (code == "RESOURCE_DOES_NOT_EXIST") return error(TrackerFailure::kNotFound, text);
  // MLflow reports an exhausted or locked database as a bad request.
  if (contains("QueuePool") || contains("sqlalche.me") || contains("database is locked")) {
    return error(TrackerFailure::kUnavailable, text);
  }
  if (contains("must be in the 'active' state")) return error(TrackerFailure::kInactive, text);
  return error(TrackerFailure::kInvalid, text);
}

MlflowClient::MlflowClient(TrackerAddress address, HttpLimits limits, const std::atomic<bool>* stop)
    : session_(std::move(address), limits, stop) {}

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

std::optional<TrackerRun> MlflowClient::find_run(const std::string& experiment_id,
                                                 const std::string& client_run_key) {
  const json body = {
      {"experiment_ids", json::array({experiment_id})},
      {"filter", "tags.`" + std::string(kClientRunKeyTag) + "` = '" + client_run_key + "'"},
      {"run_view_type", "ALL"},
      {"order_by", json::array({"attributes.start_time ASC"})},
      {"max_results", 10}};
  return parse_answer("runs/search",
                      call("POST", "runs/search", dump(body)),
                      [](const json& answer) -> std::optional<TrackerRun> {
                        const auto runs = answer.find("runs");
                        if (runs == answer.end() || runs->empty()) return std::nullopt;
                        return run_from_json(runs->front());
                      });
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
  return parse_answer(
      "runs/get", body, [](const json& answer) { return run_from_json(answer.at("run")); });
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
    list.push_back({{"key", clean(point.key)},
                    {"value", json::parse(json_number(point.value))},
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

void MlflowClient::upload(const TrackerRun& run,
                          HttpRequest request,
                          uint64_t size,
                          const std::string& path) {
  request.content_type = "application/octet-stream";
  if (const auto url = artifact_url(address().uri, run.artifact_uri, path)) {
    request.method = "PUT";
    request.url = *url;
  } else if (size == 0 || size > kMaxPageUploadBytes) {
    throw TrackerError(TrackerFailure::kInvalid,
                       "artifact '" + path + "' (" + std::to_string(size) +
                           " bytes): the server does not serve artifacts, and "
                           "its page takes 1 byte to "
                           "10 MB; start it with --serve-artifacts");
  } else {
    request.method = "POST";
    request.url = address().uri +
                  "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=" + percent_encode(run.run_id) +
                  "&path=" + percent_encode(path);
  }
  const HttpAnswer answer = session_.perform(request);
  if (const auto error = classify_answer(answer, "artifact '" + path + "'")) throw *error;
}

void MlflowClient::upload_file(const TrackerRun& run,
                               const std::filesystem::path& file,
                               const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  HttpRequest request;
  request.file = file;
  upload(run, std::move(request), error ? 1 : size, path);
}

void MlflowClient::upload_bytes(const TrackerRun& run,
                                const std::string& bytes,
                                const std::string& path) {
  HttpRequest request;
  request.body = bytes;
  upload(run, std::move(request), bytes.size(), path);
}

}  // namespace limewash::tracking
