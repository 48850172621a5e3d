#include "tests/tracking/fake_mlflow.h"

#include <nlohmann/json.hpp>

#include "tracking/tracker_address.h"

namespace limewash::tracking {
namespace {

using nlohmann::json;

FakeServer::Reply refusal(int status, const std::string& code, const std::string& message) {
  return {status, json({{"error_code", code}, {"message", message}}).dump(), ""};
}

json run_json(const std::string& id, const FakeMlflow::Run& run) {
  json metrics = json::array();
  if (!run.points.empty()) metrics.push_back({{"key", std::get<0>(*run.points.begin())}});
  return {{"data", {{"metrics", metrics}}},
          {"info",
           {{"run_id", id},
            {"experiment_id", "1"},
            {"status", run.status},
            {"lifecycle_stage", run.deleted ? "deleted" : "active"},
            {"artifact_uri", "mlflow-artifacts:/1/" + id + "/artifacts"}}}};
}

}  // namespace

FakeMlflow::FakeMlflow() : port_(unused_port()) {
  start();
}

void FakeMlflow::start() {
  server_ = std::make_unique<FakeServer>([this](const Request& request) { return handle(request); },
                                         port_);
}

std::map<std::string, FakeMlflow::Run> FakeMlflow::runs() {
  const std::lock_guard lock(mutex_);
  return runs_;
}

void FakeMlflow::clear() {
  const std::lock_guard lock(mutex_);
  runs_.clear();
}

void FakeMlflow::add_run(const std::string& id, const std::string& client_key) {
  const std::lock_guard lock(mutex_);
  runs_[id].client_key = client_key;
}

FakeMlflow::Reply FakeMlflow::handle(const Request& request) {
  const std::lock_guard lock(mutex_);
  if (before) {
    if (auto reply = before(request)) return *reply;
  }
  Reply reply = work(request);
  if (after) {
    if (auto other = after(request)) return *other;
  }
  return reply;
}

FakeMlflow::Reply FakeMlflow::work(const Request& request) {
  const auto is = [&request](const char* end) {
    return request.target.find(end) != std::string::npos;
  };
  if (is("/artifacts/")) {
    const std::string path = percent_decode(request.target.substr(request.target.find("/1/") + 3));
    const std::string id = path.substr(0, path.find('/'));
    if (!runs_.contains(id)) return refusal(404, "RESOURCE_DOES_NOT_EXIST", "no run " + id);
    runs_[id].artifacts[path.substr(path.find("/artifacts/") + 11)] = request.body;
    return {200, "{}", ""};
  }
  if (is("experiments/get-by-name")) {
    return {200, R"({"experiment":{"experiment_id":"1","lifecycle_stage":"active"}})", ""};
  }
  if (is("runs/get")) {
    const std::string id = request.target.substr(request.target.find("run_id=") + 7);
    if (!runs_.contains(id)) return refusal(404, "RESOURCE_DOES_NOT_EXIST", "no run " + id);
    return {200, json({{"run", run_json(id, runs_[id])}}).dump(), ""};
  }
  const json body = json::parse(request.body);
  if (is("runs/search")) {
    json found = json::array();
    for (const auto& [id, run] : runs_) {
      if (body["filter"].get<std::string>().find(run.client_key) != std::string::npos) {
        found.push_back(run_json(id, run));
      }
    }
    return {200, json({{"runs", found}}).dump(), ""};
  }
  if (is("runs/create")) {
    const std::string id = "run" + std::to_string(++created_);
    Run& run = runs_[id];
    run.name = body["run_name"];
    for (const auto& tag : body["tags"]) {
      if (tag["key"] == "limewash.client_run_key") run.client_key = tag["value"];
    }
    return {200, json({{"run", run_json(id, run)}}).dump(), ""};
  }
  const std::string id = body.value("run_id", "");
  if (!runs_.contains(id)) return refusal(404, "RESOURCE_DOES_NOT_EXIST", "no run " + id);
  if (is("runs/update")) {
    runs_[id].status = body["status"];
    runs_[id].end_time = body.value("end_time", int64_t{0});
    return {200, json({{"run_info", run_json(id, runs_[id])["info"]}}).dump(), ""};
  }
  if (is("runs/delete")) {
    runs_[id].deleted = true;
    return {200, "{}", ""};
  }
  if (is("runs/log-batch")) return log_batch(request.body);
  if (is("runs/log-inputs")) return {200, "{}", ""};
  return refusal(404, "ENDPOINT_NOT_FOUND", request.target);
}

FakeMlflow::Reply FakeMlflow::log_batch(const std::string& text) {
  const json body = json::parse(text);
  Run& run = runs_[body["run_id"]];
  const auto list = [&body](const char* name) { return body.value(name, json::array()); };
  if (list("metrics").size() > 1000 || list("params").size() > 100 || list("tags").size() > 100) {
    return refusal(400, "INVALID_PARAMETER_VALUE", "too many in one batch");
  }
  // Whole or not at all.
  for (const auto& metric : list("metrics")) {
    if (metric["key"].get<std::string>().find('%') != std::string::npos) {
      return refusal(400, "INVALID_PARAMETER_VALUE", "Invalid value for key");
    }
  }
  for (const auto& param : list("params")) {
    const auto it = run.params.find(param["key"]);
    if (it != run.params.end() && it->second != param["value"]) {
      return refusal(400, "INVALID_PARAMETER_VALUE", "Changing param values is not allowed.");
    }
  }
  for (const auto& metric : list("metrics")) {
    run.points.emplace(metric["key"], metric["step"], metric["timestamp"], metric["value"].dump());
  }
  for (const auto& param : list("params")) run.params[param["key"]] = param["value"];
  for (const auto& tag : list("tags")) run.tags[tag["key"]] = tag["value"];
  return {200, "{}", ""};
}

}  // namespace limewash::tracking
