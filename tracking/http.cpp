#include "tracking/http.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>

#include <curl/curl.h>

#include "runtime/error.h"

namespace limewash::tracking {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const {
    std::fclose(file);
  }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

struct HeaderFreer {
  void operator()(curl_slist* list) const {
    curl_slist_free_all(list);
  }
};
using Headers = std::unique_ptr<curl_slist, HeaderFreer>;

void add_header(Headers& headers, const std::string& line) {
  curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  headers.release();
  headers.reset(longer);
}

struct Received {
  std::string body;
  size_t limit = 0;
};

size_t receive(char* bytes, size_t size, size_t count, void* target) {
  auto& received = *static_cast<Received*>(target);
  const size_t length = size * count;
  if (received.body.size() + length > received.limit) return 0;
  received.body.append(bytes, length);
  return length;
}

/// The part of a file that is sent.
struct FilePart {
  File file;
  uint64_t begin = 0, bytes = 0;
  uint64_t sent = 0;
};

size_t send_file(char* bytes, size_t size, size_t count, void* source) {
  auto& part = *static_cast<FilePart*>(source);
  const auto wanted = static_cast<size_t>(std::min<uint64_t>(size * count, part.bytes - part.sent));
  const size_t got = std::fread(bytes, 1, wanted, part.file.get());
  part.sent += got;
  return got;
}

int seek_file(void* source, curl_off_t offset, int origin) {
  auto& part = *static_cast<FilePart*>(source);
  const bool sought =
      origin == SEEK_SET && offset >= 0 && static_cast<uint64_t>(offset) <= part.bytes &&
      fseeko(part.file.get(), static_cast<off_t>(part.begin) + offset, SEEK_SET) == 0;
  if (sought) part.sent = static_cast<uint64_t>(offset);
  return sought ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

FilePart open_part(const HttpRequest& request) {
  FilePart part;
  part.file.reset(std::fopen(request.file.c_str(), "rbe"));
  const int reason = errno;
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(request.file, error);
  if (!part.file || error) {
    throw InputError("cannot read '" + request.file.string() +
                     "': " + (error ? error.message() : std::strerror(reason)));
  }
  part.begin = std::min(request.file_begin, size);
  part.bytes = std::min(request.file_bytes, size - part.begin);
  if (fseeko(part.file.get(), static_cast<off_t>(part.begin), SEEK_SET) != 0) {
    throw InputError("cannot read '" + request.file.string() + "': " + std::strerror(errno));
  }
  return part;
}

int check_stop(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::atomic<bool>*>(stop)->load() ? 1 : 0;
}

TrackerFailure failure_of(CURLcode code) {
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
      return TrackerFailure::kStopped;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_WRITE_ERROR:  // the answer was longer than any of MLflow's
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_TOO_MANY_REDIRECTS:
      return TrackerFailure::kNotMlflow;
    default:
      return TrackerFailure::kUnavailable;
  }
}

void initialize_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

struct HttpSession::Impl {
  TrackerAddress address;
  HttpLimits limits;
  const std::atomic<bool>* stop;
  CURL* handle;

  void set_common_options(const HttpRequest& request);
  void set_identity();
};

HttpSession::HttpSession(TrackerAddress address, HttpLimits limits, const std::atomic<bool>* stop) {
  initialize_curl();
  CURL* handle = curl_easy_init();
  if (handle == nullptr) throw InputError("libcurl does not start");
  impl_ = std::make_unique<Impl>(Impl{std::move(address), limits, stop, handle});
}

HttpSession::~HttpSession() {
  curl_easy_cleanup(impl_->handle);
}

const TrackerAddress& HttpSession::address() const {
  return impl_->address;
}

void HttpSession::Impl::set_common_options(const HttpRequest& request) {
  curl_easy_reset(handle);  // keeps the connection
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  // Without it, ending a request that still resolves a name waits for the
  // resolver.
  curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "limewash/" LIMEWASH_VERSION);
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(handle, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(handle, CURLOPT_POSTREDIR, static_cast<long>(CURL_REDIR_POST_ALL));
  curl_easy_setopt(
      handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits.connect_seconds * 1000));
  if (request.file.empty()) {
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(address.timeout_seconds * 1000));
  } else {
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, static_cast<long>(limits.stall_seconds + 0.5));
  }
  if (request.once) curl_easy_setopt(handle, CURLOPT_FRESH_CONNECT, 1L);
  const std::string host = host_of(request.url);
  if (host == "localhost" || host == "[::1]" || host.starts_with("127.")) {
    curl_easy_setopt(handle, CURLOPT_PROXY, "");
  }
  // Credentials and the client's certificate are for the tracker alone.
  if (!request.anonymous) set_identity();
  if (!address.verify_tls) {
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!address.server_certificate.empty() && !request.anonymous) {
    const bool folder = std::filesystem::is_directory(address.server_certificate);
    curl_easy_setopt(
        handle, folder ? CURLOPT_CAPATH : CURLOPT_CAINFO, address.server_certificate.c_str());
  }
  if (stop != nullptr) {
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, check_stop);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, const_cast<std::atomic<bool>*>(stop));
  }
}

void HttpSession::Impl::set_identity() {
  if (!address.username.empty() && !address.password.empty()) {
    curl_easy_setopt(handle, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    curl_easy_setopt(handle, CURLOPT_USERNAME, address.username.c_str());
    curl_easy_setopt(handle, CURLOPT_PASSWORD, address.password.c_str());
  } else if (!address.token.empty()) {
    curl_easy_setopt(handle, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BEARER));
    curl_easy_setopt(handle, CURLOPT_XOAUTH2_BEARER, address.token.c_str());
  }
  if (!address.client_certificate.empty()) {
    curl_easy_setopt(handle, CURLOPT_SSLCERT, address.client_certificate.c_str());
  }
}

HttpAnswer HttpSession::perform(const HttpRequest& request) {
  CURL* handle = impl_->handle;
  impl_->set_common_options(request);
  Received received{"", impl_->limits.max_answer_bytes};
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &received);
  std::array<char, CURL_ERROR_SIZE> reason{};
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason.data());

  Headers headers;
  // Waiting for "100 Continue" costs a second with servers that never send it.
  add_header(headers, "Expect:");
  if (!request.anonymous && !impl_->address.workspace.empty()) {
    add_header(headers, "X-MLFLOW-WORKSPACE: " + impl_->address.workspace);
  }
  if (!request.content_type.empty()) add_header(headers, "Content-Type: " + request.content_type);
  for (const auto& line : request.headers) add_header(headers, line);
  FilePart part;
  if (!request.file.empty()) {
    part = open_part(request);
    const uint64_t size = part.bytes;
    curl_easy_setopt(handle, CURLOPT_READFUNCTION, send_file);
    curl_easy_setopt(handle, CURLOPT_READDATA, &part);
    curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, seek_file);
    curl_easy_setopt(handle, CURLOPT_SEEKDATA, &part);
    if (request.method == "PUT") {
      curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
      curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size));
    } else {
      curl_easy_setopt(handle, CURLOPT_POST, 1L);
      curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(size));
    }
  } else if (request.method != "GET") {
    // A body of known size: MLflow loses chunked JSON.
    curl_easy_setopt(handle, CURLOPT_POST, 1L);
    curl_easy_setopt(
        handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.body.c_str());
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());

  const CURLcode code = curl_easy_perform(handle);
  HttpAnswer answer;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &answer.status);
  curl_off_t retry_after = 0;
  curl_easy_getinfo(handle, CURLINFO_RETRY_AFTER, &retry_after);
  answer.retry_after_seconds = static_cast<double>(retry_after);
  curl_header* etag = nullptr;
  if (curl_easy_header(handle, "ETag", 0, CURLH_HEADER, -1, &etag) == CURLHE_OK) {
    answer.etag = etag->value;
  }
  answer.body = std::move(received.body);
  // The handle must not keep pointers into this call.
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, nullptr);
  curl_easy_setopt(handle, CURLOPT_HTTPHEADER, nullptr);
  if (code != CURLE_OK) {
    const TrackerFailure failure = failure_of(code);
    // A server may answer, and end the connection, before it took the whole
    // body.
    if (failure == TrackerFailure::kUnavailable && answer.status >= 400) return answer;
    const char* text = reason[0] != '\0' ? reason.data() : curl_easy_strerror(code);
    throw TrackerError(failure, text);
  }
  return answer;
}

}  // namespace limewash::tracking
