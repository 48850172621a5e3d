#pragma once
// The two kinds of failure that a user sees. Libraries throw; only main() exits.

#include <stdexcept>
#include <string>

namespace limewash {

/// Wrong usage or configuration: the program ends with status 2 before any work was done.
/// The message names the file, the line or key, the value, and what was expected.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Input or surroundings that make the work impossible (a corrupt file, a full disk): status 1.
/// The message names the file and the place in it.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Exit statuses of the program.
enum ExitStatus : int {
  kExitDone = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  /// Stopped early with a checkpoint to go on from.
  kExitStopped = 85,
};

}  // namespace limewash
