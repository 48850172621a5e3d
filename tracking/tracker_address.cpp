#include "tracking/tracker_address.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string_view>

#include "runtime/environment.h"
#include "runtime/error.h"

namespace limewash::tracking {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return text;
}

std::string trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

/// What a header can hold: a line break would begin another one.
std::string header_text(std::string text) {
  std::erase_if(text, [](unsigned char c) { return c < ' ' || c == 0x7f; });
  return text;
}

/// [mlflow] of ~/.mlflow/credentials.
std::map<std::string, std::string> credentials_file() {
  std::map<std::string, std::string> values;
  const std::string home = environment_variable("HOME");
  if (home.empty()) return values;
  std::ifstream file(home + "/.mlflow/credentials");
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    line = trim(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      inside = line == "[mlflow]";
    } else if (const size_t split = line.find_first_of("=:");
               inside && split != std::string::npos) {
      values[lower(trim(line.substr(0, split)))] = trim(line.substr(split + 1));
    }
  }
  return values;
}

/// Where the authority part (user:password@host:port) begins and ends.
std::pair<size_t, size_t> authority(const std::string& uri) {
  const size_t scheme = uri.find("://");
  if (scheme == std::string::npos) return {0, 0};
  const size_t begin = scheme + 3;
  return {begin, std::min(uri.find_first_of("/?#", begin), uri.size())};
}

}  // namespace

bool is_http_uri(const std::string& uri) {
  const std::string start = lower(uri.substr(0, 8));
  if (!start.starts_with("http://") && !start.starts_with("https://")) return false;
  const bool printable =
      std::all_of(uri.begin(), uri.end(), [](unsigned char c) { return c > ' ' && c != 0x7f; });
  return printable && uri.find_first_of("?#") == std::string::npos && !host_of(uri).empty();
}

bool has_credentials(const std::string& uri) {
  const auto [begin, end] = authority(uri);
  return uri.substr(begin, end - begin).find('@') != std::string::npos;
}

std::string host_of(const std::string& uri) {
  const auto [begin, end] = authority(uri);
  std::string host = uri.substr(begin, end - begin);
  if (const size_t at = host.rfind('@'); at != std::string::npos) host.erase(0, at + 1);
  if (host.starts_with("[")) return host.substr(0, host.find(']') + 1);
  return host.substr(0, host.find(':'));
}

std::string percent_encode(const std::string& text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const unsigned char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      encoded += static_cast<char>(c);
    } else {
      encoded += '%';
      encoded += kDigits[c >> 4];
      encoded += kDigits[c & 15];
    }
  }
  return encoded;
}

std::string percent_decode(const std::string& text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      decoded += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

TrackerAddress tracker_address_from_environment(const std::string& configured_uri) {
  TrackerAddress address;
  std::string uri =
      trim(configured_uri.empty() ? environment_variable("MLFLOW_TRACKING_URI") : configured_uri);
  if (uri.empty()) return address;
  if (!is_http_uri(uri)) {
    const std::string shown = has_credentials(uri) ? "it" : "'" + uri + "'";
    throw InputError(std::string(configured_uri.empty() ? "MLFLOW_TRACKING_URI" : "tracking.uri") +
                     ": " + shown +
                     " is not the address of a tracking server "
                     "(http://HOST:PORT or https://HOST)");
  }
  if (has_credentials(uri)) {
    const auto [begin, end] = authority(uri);
    const size_t at = uri.rfind('@', end - 1);
    const std::string user = uri.substr(begin, at - begin);
    const size_t colon = user.find(':');
    address.username = percent_decode(user.substr(0, colon));
    if (colon != std::string::npos) address.password = percent_decode(user.substr(colon + 1));
    uri.erase(begin, at + 1 - begin);
  }
  while (uri.ends_with('/')) uri.pop_back();
  address.uri = uri;

  auto file = credentials_file();
  const auto choose = [&file](std::string& value, const char* name) {
    if (const std::string set = environment_variable(name); !set.empty()) {
      value = set;
    } else if (value.empty()) {
      value = file[lower(name)];
    }
  };
  choose(address.username, "MLFLOW_TRACKING_USERNAME");
  choose(address.password, "MLFLOW_TRACKING_PASSWORD");
  address.token = environment_variable("MLFLOW_TRACKING_TOKEN");
  const std::string insecure = lower(environment_variable("MLFLOW_TRACKING_INSECURE_TLS"));
  address.verify_tls = insecure != "true" && insecure != "1";
  address.server_certificate = environment_variable("MLFLOW_TRACKING_SERVER_CERT_PATH");
  address.client_certificate = environment_variable("MLFLOW_TRACKING_CLIENT_CERT_PATH");
  address.workspace = header_text(environment_variable("MLFLOW_WORKSPACE"));
  const double seconds = std::atof(environment_variable("MLFLOW_HTTP_REQUEST_TIMEOUT").c_str());
  if (seconds > 0) address.timeout_seconds = std::min(seconds, 3600.0);
  return address;
}

}  // namespace limewash::tracking
