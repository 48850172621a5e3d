#include "tracking/tracker_check.h"

#include <algorithm>
#include <cctype>
#include <chrono>

#include "runtime/error.h"
#include "tracking/http.h"
#include "tracking/mlflow_client.h"

namespace limewash::tracking {

namespace {

constexpr double kMostSeconds = 10;

std::string advice_for(TrackerFailure failure) {
  switch (failure) {
    case TrackerFailure::kUnavailable:
    case TrackerFailure::kStopped:
      return "start the server, or check host, port and firewall; training goes on without it, and "
             "'limewash runs sync RUN' ships what it recorded later";
    case TrackerFailure::kAuthentication:
      return "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, "
             "to what the server knows";
    case TrackerFailure::kHostHeader:
      return "start the server with --allowed-hosts, or name it by its IP address";
    case TrackerFailure::kNotMlflow:
      return "check the address: scheme, host, port and path of an MLflow server";
    default:
      return "check the server's own log";
  }
}

/// The server's version when the text looks like one.
std::string version_in(const HttpAnswer& answer) {
  const bool plain = answer.status == 200 && !answer.body.empty() && answer.body.size() < 40 &&
                     std::isdigit(static_cast<unsigned char>(answer.body.front())) != 0 &&
                     std::all_of(answer.body.begin(), answer.body.end(), [](unsigned char c) {
                       return std::isalnum(c) != 0 || c == '.' || c == '+' || c == '-';
                     });
  return plain ? answer.body : "";
}

}  // namespace

TrackerCheck check_tracker(const TrackingOptions& options) {
  TrackerCheck check;
  try {
    TrackerAddress address = tracker_address_from_environment(options.uri);
    check.uri = address.uri;
    if (address.uri.empty()) return check;
    address.timeout_seconds = std::min(address.timeout_seconds, kMostSeconds);
    HttpSession session(address, {.connect_seconds = kMostSeconds / 2});
    const auto begin = std::chrono::steady_clock::now();
    HttpRequest request;
    request.url = address.uri + "/version";
    check.version = version_in(session.perform(request));
    request.url = address.uri + "/api/2.0/mlflow/experiments/search?max_results=1";
    const HttpAnswer answer = session.perform(request);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    check.seconds = seconds.count();
    if (const auto error = classify_answer(answer, "experiments/search")) throw *error;
  } catch (const TrackerError& error) {
    check.problem = error.what();
    check.advice = advice_for(error.failure());
  } catch (const InputError& error) {
    check.problem = error.what();
    check.advice = "set tracking.uri or MLFLOW_TRACKING_URI to http(s)://HOST:PORT";
  }
  return check;
}

}  // namespace limewash::tracking
