#pragma once
// What MLflow does with the calls of a run, in memory, behind a FakeServer. It stores what MLflow
// would store and refuses what it would refuse; faults come in between.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "tests/tracking/fake_server.h"

namespace limewash::tracking {

class FakeMlflow {
 public:
  using Request = FakeServer::Request;
  using Reply = FakeServer::Reply;
  /// A reply instead of the work, and a reply instead of the right answer after the work.
  std::function<std::optional<Reply>(const Request&)> before, after;

  struct Run {
    std::string name, client_key, status = "RUNNING";
    std::set<std::tuple<std::string, int64_t, int64_t, std::string>>
        points;  ///< key, step, time, value
    std::map<std::string, std::string> params, tags, artifacts;
    int64_t end_time = 0;
    bool deleted = false;
  };

  FakeMlflow();
  /// The server goes away; what it stored stays.
  void stop() {
    server_.reset();
  }
  void start();
  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_);
  }
  FakeServer& server() {
    return *server_;
  }

  std::map<std::string, Run> runs();
  /// A run that someone created, with that client key.
  void add_run(const std::string& id, const std::string& client_key);
  /// Lose everything, as a new database does.
  void clear();

 private:
  Reply handle(const Request& request);
  Reply work(const Request& request);
  Reply log_batch(const std::string& body);

  int port_ = 0;
  std::mutex mutex_;
  std::map<std::string, Run> runs_;
  int created_ = 0;
  std::unique_ptr<FakeServer> server_;
};

}  // namespace limewash::tracking
