#pragma once
// Where the tracker is and how to show who we are: MLFLOW_TRACKING_URI and its
// siblings. Secrets live only in this struct; nothing prints it.

#include <string>

namespace limewash::tracking {

struct TrackerAddress {
  std::string uri;                 ///< http(s)://host[:port][/prefix], without credentials and
                                   ///< final slash
  std::string username, password;  ///< Basic, when both are set
  std::string token;               ///< Bearer, otherwise
  bool verify_tls = true;
  std::string server_certificate;  ///< PEM file or folder of authorities
  std::string client_certificate;  ///< PEM file with the key
  std::string workspace;           ///< of servers that are divided into workspaces
  double timeout_seconds = 120;    ///< of one request that carries no file
};

/// The address out of the environment: `configured_uri`, or MLFLOW_TRACKING_URI
/// where that is ""; with MLFLOW_TRACKING_USERNAME, _PASSWORD, _TOKEN,
/// _INSECURE_TLS, _SERVER_CERT_PATH, _CLIENT_CERT_PATH, MLFLOW_WORKSPACE,
/// MLFLOW_HTTP_REQUEST_TIMEOUT, and ~/.mlflow/credentials behind them, as
/// MLflow's own client reads them. `uri` is "" where no tracker was asked for.
/// Throws InputError for a URI that is not http(s).
TrackerAddress tracker_address_from_environment(const std::string& configured_uri);

/// Whether the URI has the form user:password@.
bool has_credentials(const std::string& uri);

/// Whether this is an address that a tracker can have.
bool is_http_uri(const std::string& uri);

/// The host of an http(s) URI without port and credentials.
std::string host_of(const std::string& uri);

/// A path segment or query value with everything percent-encoded but letters,
/// digits and "-._~".
std::string percent_encode(const std::string& text);

/// The reverse.
std::string percent_decode(const std::string& text);

}  // namespace limewash::tracking
