#include "launcher/supervisor.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "runtime/stop_signal.h"

namespace limewash::launcher {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPauseBetweenLooks{50};
/// From one look to the next, on a busy machine; more, and this process was suspended.
constexpr std::chrono::seconds kLongestLook{2};
/// Until ranks can be asked to stop.
constexpr std::chrono::seconds kLongestStart{60};
/// From SIGTERM to SIGKILL: more than mpirun gives its ranks (mpi_command.cpp).
constexpr std::chrono::seconds kPatienceAfterTerm{30};

/// Notices when the heartbeat's time stops changing. Times of files may come from another host's
/// clock, so they are compared with each other only. While the whole job is suspended, as Slurm
/// does to make room for another, nobody looks, and nothing counts as silence.
class HeartbeatReader {
 public:
  explicit HeartbeatReader(fs::path path) : path_(std::move(path)), last_(time()) {}

  void look() {
    const auto now = Clock::now();
    silence_ += std::min<Clock::duration>(now - looked_, kLongestLook);
    looked_ = now;
    const auto beat = time();
    if (!beat || beat == last_) return;
    last_ = beat;
    silence_ = {};
    beats_ = true;
  }
  /// Whether it has changed since this object was made.
  bool beats() const {
    return beats_;
  }
  Clock::duration silence() const {
    return silence_;
  }

 private:
  std::optional<fs::file_time_type> time() const {
    std::error_code error;
    const auto time = fs::last_write_time(path_, error);
    return error ? std::nullopt : std::optional(time);
  }

  fs::path path_;
  std::optional<fs::file_time_type> last_;
  Clock::time_point looked_ = Clock::now();
  Clock::duration silence_{};
  bool beats_ = false;
};

/// The parent's number in /proc/PID/stat, behind a name that may hold anything; 0 when it is gone.
pid_t parent_of(const fs::path& process) {
  std::ifstream file(process / "stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos || name_end + 4 > line.size()) return 0;
  pid_t parent = 0;
  std::from_chars(line.data() + name_end + 4, line.data() + line.size(), parent);
  return parent;
}

/// `root` and all that descends from it on this host.
std::set<pid_t> family_of(pid_t root) {
  std::map<pid_t, pid_t> parents;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    std::from_chars(name.data(), name.data() + name.size(), pid);
    if (pid > 0) parents[pid] = parent_of(entry.path());
  }
  std::set<pid_t> family{root};
  for (size_t before = 0; before != family.size();) {
    before = family.size();
    for (const auto& [pid, parent] : parents)
      if (family.contains(parent)) family.insert(pid);
  }
  return family;
}

pid_t start(const std::vector<std::string>& arguments,
            const std::vector<std::string>& environment) {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) throw InputError(arguments.front() + ": can't start: " + std::strerror(errno));
  if (child > 0) return child;
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

}  // namespace

SupervisedEnd run_supervised(const std::vector<std::string>& arguments,
                             const std::vector<std::string>& environment,
                             const Watchdog& watchdog) {
  HeartbeatReader heartbeat(watchdog.heartbeat);
  const pid_t child = start(arguments, environment);
  bool passed_on = false;
  int status = 0;
  bool given_up = false;
  Clock::time_point term_sent;
  for (;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno != EINTR)
      throw InputError(std::string("waitpid: ") + std::strerror(errno));
    heartbeat.look();
    // A rank that is still being loaded would be ended by the signal.
    const bool can_stop = heartbeat.beats() || heartbeat.silence() >= kLongestStart;
    if (stop_requested() && can_stop && !passed_on) {
      kill(child, SIGUSR1);
      passed_on = true;
    }
    if (!given_up && watchdog.limit.count() > 0 && heartbeat.silence() >= watchdog.limit) {
      spdlog::error("no rank has done anything for {} s: ending this attempt",
                    watchdog.limit.count());
      given_up = true;
      term_sent = Clock::now();
      kill(child, SIGTERM);
    } else if (given_up && Clock::now() - term_sent >= kPatienceAfterTerm) {
      for (const pid_t pid : family_of(child)) kill(pid, SIGKILL);
    }
    std::this_thread::sleep_for(kPauseBetweenLooks);
  }
  // Whatever it says: SIGTERM is a stop request to a rank that wakes up.
  const int said = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return {given_up ? 128 + SIGTERM : said, heartbeat.beats()};
}

}  // namespace limewash::launcher
