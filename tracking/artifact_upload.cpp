#include "tracking/artifact_upload.h"

#include <algorithm>
#include <vector>

#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "tracking/mlflow_answer.h"

namespace limewash::tracking {
namespace {

using nlohmann::json;

constexpr const char* kArtifactApi = "/api/2.0/mlflow-artifacts/artifacts/";
constexpr const char* kMultipartApi = "/api/2.0/mlflow-artifacts/mpu/";
constexpr uint64_t kMaxPageUploadBytes = uint64_t{10} << 20;
constexpr uint64_t kMaxParts = 10000;

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

/// The one request that uploads a whole file or `body`.
HttpRequest whole_request(const HttpSession& session, const ArtifactTarget& target, uint64_t size) {
  HttpRequest request;
  request.content_type = "application/octet-stream";
  if (const auto url = artifact_url(session.address().uri, target.artifact_uri, target.path)) {
    request.method = "PUT";
    request.url = *url;
  } else if (size == 0 || size > kMaxPageUploadBytes) {
    throw TrackerError(TrackerFailure::kInvalid,
                       "artifact '" + target.path + "' (" + std::to_string(size) +
                           " bytes): the server does not serve artifacts, and "
                           "its page takes 1 byte to "
                           "10 MB; start it with --serve-artifacts");
  } else {
    request.method = "POST";
    request.url = session.address().uri +
                  "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=" + percent_encode(target.run_id) +
                  "&path=" + percent_encode(target.path);
  }
  return request;
}

void perform_whole(HttpSession& session, const ArtifactTarget& target, const HttpRequest& request) {
  const HttpAnswer answer = session.perform(request);
  if (const auto error = classify_answer(answer, "artifact '" + target.path + "'")) throw *error;
}

/// An upload in parts, which go straight to the store by the addresses that the server signs.
class MultipartUpload {
 public:
  MultipartUpload(HttpSession& session, const ArtifactTarget& target, std::string url)
      : session_(session), target_(target), url_(std::move(url)) {
    const size_t slash = target.path.rfind('/');
    name_ = slash == std::string::npos ? target.path : target.path.substr(slash + 1);
  }

  /// False when the store takes no parts.
  bool begin(uint64_t parts) {
    const HttpAnswer answer = post("create", {{"path", name_}, {"num_parts", parts}});
    // No such store, or a server that is older than the interface.
    if (answer.status == 501 || answer.status == 404 || answer.status == 405) return false;
    check(answer, "create");
    try {
      const json body = json::parse(answer.body);
      upload_id_ = body.value("upload_id", "");
      credentials_ = body.at("credentials");
      if (credentials_.size() != parts) throw std::invalid_argument("another number of parts");
    } catch (const std::exception& error) {
      throw TrackerError(
          TrackerFailure::kUnavailable,
          "artifact '" + target_.path + "': the parts were not answered: " + error.what());
    }
    return true;
  }

  void send(const std::filesystem::path& file, uint64_t size, uint64_t part_bytes) {
    json done = json::array();
    for (size_t i = 0; i < credentials_.size(); ++i) {
      const json& part = credentials_[i];
      HttpRequest request;
      request.method = "PUT";
      request.anonymous = true;
      request.file = file;
      request.file_begin = i * part_bytes;
      request.file_bytes = std::min(part_bytes, size - request.file_begin);
      request.url = part.value("url", "");
      if (const auto headers = part.find("headers"); headers != part.end()) {
        for (const auto& [name, value] : headers->items()) {
          if (value.is_string()) request.headers.push_back(name + ": " + value.get<std::string>());
        }
      }
      const HttpAnswer answer = session_.perform(request);
      if (answer.status < 200 || answer.status >= 300) {
        // Signed addresses expire; a new try signs new ones.
        throw TrackerError(TrackerFailure::kUnavailable,
                           "artifact '" + target_.path + "', part " + std::to_string(i + 1) +
                               ": the store answered HTTP " + std::to_string(answer.status),
                           answer.retry_after_seconds);
      }
      done.push_back({{"part_number", part.value("part_number", i + 1)},
                      {"etag", answer.etag},
                      {"url", request.url}});
    }
    check(post("complete", {{"path", name_}, {"upload_id", upload_id_}, {"parts", done}}),
          "complete");
  }

  /// What was sent would be paid for until someone removes it.
  void abort() noexcept {
    try {
      post("abort", {{"path", name_}, {"upload_id", upload_id_}});
    } catch (const std::exception&) {
      // The failure that led here is the one to tell.
    }
  }

 private:
  HttpAnswer post(const char* action, const json& body) {
    HttpRequest request;
    request.method = "POST";
    request.content_type = "application/json";
    request.body = body.dump(-1, ' ', false, json::error_handler_t::replace);
    // The artifact's folder takes the place of the artifact.
    request.url = url_;
    request.url.replace(url_.find(kArtifactApi),
                        std::string(kArtifactApi).size(),
                        kMultipartApi + std::string(action) + "/");
    request.url.erase(request.url.rfind('/'));
    return session_.perform(request);
  }

  void check(const HttpAnswer& answer, const char* action) const {
    const std::string call = "artifact '" + target_.path + "', mpu/" + action;
    if (const auto error = classify_answer(answer, call)) throw *error;
  }

  HttpSession& session_;
  const ArtifactTarget& target_;
  std::string url_, name_, upload_id_;
  json credentials_;
};

/// False when the store takes no parts.
bool upload_in_parts(HttpSession& session,
                     const ArtifactTarget& target,
                     const std::filesystem::path& file,
                     uint64_t size,
                     const UploadLimits& limits) {
  const auto url = artifact_url(session.address().uri, target.artifact_uri, target.path);
  if (!url) return false;
  const uint64_t least = (size + kMaxParts - 1) / kMaxParts;
  const uint64_t part_bytes = std::max({limits.part_bytes, least, uint64_t{1}});
  MultipartUpload upload(session, target, *url);
  if (!upload.begin((size + part_bytes - 1) / part_bytes)) return false;
  try {
    upload.send(file, size, part_bytes);
  } catch (const std::exception&) {
    upload.abort();
    throw;
  }
  return true;
}

}  // namespace

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

void upload_artifact(HttpSession& session,
                     const ArtifactTarget& target,
                     const std::filesystem::path& file,
                     const UploadLimits& limits) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(file, error);
  if (error) throw InputError("cannot read '" + file.string() + "': " + error.message());
  if (size >= limits.multipart_from && upload_in_parts(session, target, file, size, limits)) return;
  HttpRequest request = whole_request(session, target, size);
  request.file = file;
  perform_whole(session, target, request);
}

void upload_artifact_bytes(HttpSession& session,
                           const ArtifactTarget& target,
                           const std::string& bytes) {
  HttpRequest request = whole_request(session, target, bytes.size());
  request.body = bytes;
  perform_whole(session, target, request);
}

}  // namespace limewash::tracking
