#pragma once
// Another program, run for its answer.

#include <functional>
#include <string>
#include <vector>

namespace limewash {

struct CapturedProcess {
  int status = 127;        ///< its exit status, or 128 + the signal that ended it
  bool timed_out = false;  ///< it was ended because the time was up
  std::string output;      ///< standard output, the first MiB
  std::string errors;      ///< standard error, the first MiB
  double seconds = 0;

  /// The last line of `errors` (or of `output`) that is not blank.
  std::string last_line() const;
  /// The last line of `output` that is not blank: where a program prints its result.
  std::string last_output_line() const;
};

/// Run `arguments` (the first is looked up in PATH) with `environment` ("NAME=value") added to this
/// process's, without standard input, for at most `seconds`. At the end of the time it and what it
/// started get SIGTERM, and two seconds later SIGKILL; the time also ends when `cancelled` says so.
/// Status 127: it could not be started.
CapturedProcess run_captured(const std::vector<std::string>& arguments,
                             const std::vector<std::string>& environment,
                             double seconds,
                             const std::function<bool()>& cancelled = {});

}  // namespace limewash
