#pragma once
// One HTTP request at a time over a kept connection (libcurl).

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tracking/tracker_address.h"

namespace limewash::tracking {

/// What a failed call to the tracker means for the caller.
enum class TrackerFailure {
  kUnavailable,     ///< down, slow, overloaded: the same request may pass later
  kAuthentication,  ///< 401 or 403: the credentials are missing or wrong
  kHostHeader,      ///< MLflow's check of the Host header refuses the name in the
                    ///< URI
  kNotMlflow,       ///< something else answers there, or TLS fails
  kNotFound,        ///< MLflow does not know the run or experiment
  kInactive,        ///< the run or experiment was deleted there
  kInvalid,         ///< MLflow refuses this very content; repeating it is useless
  kStopped,         ///< we were told to stop
};

class TrackerError : public std::runtime_error {
 public:
  TrackerError(TrackerFailure failure, const std::string& message, double retry_after_seconds = 0)
      : std::runtime_error(message), failure_(failure), retry_after_seconds_(retry_after_seconds) {}
  TrackerFailure failure() const {
    return failure_;
  }
  /// What the server's Retry-After asked for; 0 without.
  double retry_after_seconds() const {
    return retry_after_seconds_;
  }

 private:
  TrackerFailure failure_;
  double retry_after_seconds_;
};

struct HttpRequest {
  std::string method = "GET";  ///< GET, POST or PUT
  std::string url;
  std::string content_type;  ///< "" where there is no body
  std::string body;
  std::filesystem::path file;  ///< streamed as the body instead of `body`
  uint64_t file_begin = 0;
  uint64_t file_bytes = UINT64_MAX;  ///< at most, from `file_begin` on
  std::vector<std::string> headers;  ///< further ones, "Name: value"
  /// For another host than the tracker, which must not learn who we are.
  bool anonymous = false;
  /// Must not be sent twice: libcurl repeats a request by itself when a kept
  /// connection ends without an answer, so this one gets a new connection.
  bool once = false;
};

struct HttpAnswer {
  long status = 0;
  std::string body;
  std::string etag;
  double retry_after_seconds = 0;
};

/// The limits of one request.
struct HttpLimits {
  double connect_seconds = 10;
  /// A file's transfer may take as long as it needs, but not stand still for
  /// this long.
  double stall_seconds = 60;
  size_t max_answer_bytes = size_t{32} << 20;
};

class HttpSession {
 public:
  /// `stop`, where given, ends a request under way within about a second when
  /// it turns true.
  HttpSession(TrackerAddress address, HttpLimits limits, const std::atomic<bool>* stop = nullptr);
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  /// Any HTTP status is an answer. Throws TrackerError when there is none
  /// (kUnavailable, kNotMlflow, kStopped), InputError when `file` cannot be
  /// read.
  HttpAnswer perform(const HttpRequest& request);
  const TrackerAddress& address() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace limewash::tracking
