#pragma once
// A small HTTP server on loopback whose faults the test decides.

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace limewash::tracking {

class FakeServer {
 public:
  struct Request {
    std::string method, target;                  ///< target: path and query as they came
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;
  };
  enum class Manner {
    kAnswer,
    kSilence,  ///< the connection ends without an answer
    kHang,     ///< nothing comes until the server stops
    kTrickle,  ///< one byte every 50 ms
  };
  struct Reply {
    int status = 200;
    std::string body = "{}";
    std::string headers;  ///< further lines, each ending in \r\n
    Manner manner = Manner::kAnswer;
  };
  using Handler = std::function<Reply(const Request&)>;

  /// Listens at once. Port 0 takes a free one.
  explicit FakeServer(Handler handler, int port = 0);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  int port() const {
    return port_;
  }
  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_);
  }
  std::vector<Request> requests();
  int connections() const {
    return connections_;
  }

 private:
  void accept_connections();
  void serve(int connection);
  bool answer(int connection, const Reply& reply);

  Handler handler_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::vector<Request> requests_;
  std::vector<int> open_;
  std::vector<std::thread> workers_;
  std::thread acceptor_;
};

/// A port on which nothing listens.
int unused_port();

}  // namespace limewash::tracking
