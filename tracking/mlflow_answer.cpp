#include "tracking/mlflow_answer.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

namespace limewash::tracking {
namespace {

using nlohmann::json;

/// The first line of a text for a message, without what a terminal would obey.
std::string excerpt(const std::string& text) {
  std::string line = text.substr(0, std::min<size_t>(text.find_first_of("\r\n"), 300));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  return line;
}

}  // namespace

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
  // MLflow reports an exhausted or locked database as a bad request, but also a value that the
  // database does not take, which would never pass.
  if (contains("DataError")) return error(TrackerFailure::kInvalid, text);
  if (contains("QueuePool") || contains("sqlalche.me") || contains("database is locked")) {
    return error(TrackerFailure::kUnavailable, text);
  }
  if (contains("must be in the 'active' state")) return error(TrackerFailure::kInactive, text);
  return error(TrackerFailure::kInvalid, text);
}

}  // namespace limewash::tracking
