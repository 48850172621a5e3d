#pragma once
// A child process group that is started, signalled and waited for: mpirun with its ranks.

#include <string>
#include <vector>

namespace limewash::launcher {

/// Run `arguments` with `environment` added to this one's, until it ends. A stop request of this
/// process is passed on once as SIGUSR1, which mpirun forwards to every rank. The child dies with
/// this process. Returns its exit status, or 128 + the signal that ended it.
int run_supervised(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment);

}  // namespace limewash::launcher
