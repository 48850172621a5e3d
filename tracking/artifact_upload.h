#pragma once
// Files into a run's artifact store: through the server's proxy by one streamed PUT, in parts where
// the store takes parts, or by the upload of MLflow's page.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "tracking/http.h"

namespace limewash::tracking {

struct UploadLimits {
  uint64_t multipart_from = uint64_t{500} << 20;  ///< bytes, as MLflow's own client
  uint64_t part_bytes = uint64_t{100} << 20;      ///< at least; stores take 10,000 parts
};

/// The URL that takes an artifact of a run by PUT; empty when the run's store
/// is not behind the server.
std::optional<std::string> artifact_url(const std::string& tracking_uri,
                                        const std::string& artifact_uri,
                                        const std::string& path);

/// Where to put what.
struct ArtifactTarget {
  std::string run_id, artifact_uri;
  std::string path;  ///< below the run's artifacts, folders by "/"
};

/// Throws TrackerError, and InputError when the file cannot be read.
void upload_artifact(HttpSession& session,
                     const ArtifactTarget& target,
                     const std::filesystem::path& file,
                     const UploadLimits& limits = {});
void upload_artifact_bytes(HttpSession& session,
                           const ArtifactTarget& target,
                           const std::string& bytes);

}  // namespace limewash::tracking
