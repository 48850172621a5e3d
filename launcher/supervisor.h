#pragma once
// A child process group that is started, signalled, watched and waited for: mpirun with its ranks.

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace limewash::launcher {

/// How a child that does nothing any more is known.
struct Watchdog {
  std::filesystem::path heartbeat;  ///< the file that its ranks touch (runtime/heartbeat.h)
  std::chrono::seconds limit{0};    ///< 0: never given up
};

/// How a child ended.
struct SupervisedEnd {
  int status = 0;  ///< its exit status; 128 + the signal that ended it; 128 + SIGTERM if given up
  bool beat = false;  ///< whether its ranks touched the heartbeat
};

/// Run `arguments` with `environment` added to this one's, until it ends. A stop request of this
/// process is passed on once as SIGUSR1, which mpirun forwards to every rank, when the heartbeat
/// says that they can take it. The child dies with this process. One that its watchdog gives up
/// gets SIGTERM, which lets mpirun end its ranks, and half a minute later SIGKILL, with all that
/// descends from it.
SupervisedEnd run_supervised(const std::vector<std::string>& arguments,
                             const std::vector<std::string>& environment,
                             const Watchdog& watchdog);

}  // namespace limewash::launcher
