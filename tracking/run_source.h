#pragma once
// Who runs what: the facts behind MLflow's source tags.

#include <filesystem>
#include <string>

namespace limewash::tracking {

/// The login name, or the user's number where it has none.
std::string user_name();

/// The file name of this program.
std::string program_name();

/// The commit checked out in the git work tree around `folder`; "" outside of
/// one. Reads files only.
std::string git_commit(const std::filesystem::path& folder);

}  // namespace limewash::tracking
