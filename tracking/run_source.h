#pragma once
// Who runs what: the facts behind MLflow's source tags.

#include <filesystem>
#include <optional>
#include <string>

namespace limewash::tracking {

/// The login name, or the user's number where it has none.
std::string user_name();

/// The file name of this program.
std::string program_name();

/// What is checked out around a folder; "" and empty: not known, or outside of a git work tree.
struct GitCheckout {
  std::string commit, branch;
  std::string repository;     ///< remote "origin", without credentials
  std::optional<bool> dirty;  ///< tracked files differ from the commit
};

/// Reads git's files; only `dirty` asks the program git, for at most two seconds.
GitCheckout read_git_checkout(const std::filesystem::path& folder);

}  // namespace limewash::tracking
