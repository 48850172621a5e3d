#include "launcher/supervisor.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/stop_signal.h"

namespace limewash::launcher {

int run_supervised(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment) {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) throw InputError(arguments.front() + ": can't start: " + std::strerror(errno));
  if (child == 0) {
    // A group of its own: Ctrl-C at the terminal reaches this process alone, which passes it on in
    // order.
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    unblock_stop_signals();
    if (getppid() != parent) _exit(127);
    for (const auto& entry : environment) putenv(const_cast<char*>(entry.c_str()));
    execvp(argv.front(), argv.data());
    std::perror(argv.front());
    _exit(127);
  }

  bool passed_on = false;
  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno != EINTR)
      throw InputError(std::string("waitpid: ") + std::strerror(errno));
    if (stop_requested() && !passed_on) {
      kill(child, SIGUSR1);
      passed_on = true;
    }
    usleep(50'000);
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace limewash::launcher
