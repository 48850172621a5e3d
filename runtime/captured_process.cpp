#include "runtime/captured_process.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/stop_signal.h"

namespace limewash {

namespace {

constexpr size_t kMostBytes = size_t{1} << 20;
constexpr double kPatienceAfterTerm = 2;

/// A pipe whose reading end is this process's.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) {
      throw InputError(std::string("cannot make a pipe: ") + std::strerror(errno));
    }
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int reader() const {
    return ends_[0];
  }
  int writer() const {
    return ends_[1];
  }
  void close_end(size_t end) {
    if (ends_[end] >= 0) ::close(ends_[end]);
    ends_[end] = -1;
  }
  /// Take what is there. False at the end of the stream.
  bool read_into(std::string& text) {
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(reader(), buffer.data(), buffer.size());
    if (count > 0 && text.size() < kMostBytes)
      text.append(buffer.data(), static_cast<size_t>(count));
    return count > 0 || (count < 0 && errno == EINTR);
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

[[noreturn]] void become(std::vector<char*>& argv, std::vector<char*>& envp, int out, int err) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  unblock_stop_signals();
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::execvpe(argv.front(), argv.data(), envp.data());
  ::_exit(127);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const auto& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

std::string last_line_of(const std::string& text) {
  size_t end = text.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "";
  const size_t begin = text.rfind('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

}  // namespace

std::string CapturedProcess::last_line() const {
  const auto line = last_line_of(errors);
  return line.empty() ? last_line_of(output) : line;
}

std::string CapturedProcess::last_output_line() const {
  return last_line_of(output);
}

CapturedProcess run_captured(const std::vector<std::string>& arguments,
                             const std::vector<std::string>& environment,
                             double seconds,
                             const std::function<bool()>& cancelled) {
  using Clock = std::chrono::steady_clock;
  CapturedProcess result;
  // All memory is taken before the fork: other threads may hold the allocator's locks.
  auto argv = pointers(arguments);
  std::vector<std::string> settings;
  for (char** entry = ::environ; *entry != nullptr; ++entry) settings.emplace_back(*entry);
  for (const auto& added : environment) {
    const std::string name = added.substr(0, added.find('=') + 1);
    std::erase_if(settings, [&](const std::string& old) { return old.starts_with(name); });
    settings.push_back(added);
  }
  auto envp = pointers(settings);
  Pipe out, err;
  const auto begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  const pid_t child = ::fork();
  if (child < 0) {
    result.errors = std::string("cannot fork: ") + std::strerror(errno);
    return result;
  }
  if (child == 0) become(argv, envp, out.writer(), err.writer());
  ::setpgid(child, child);
  out.close_end(1);
  err.close_end(1);

  std::array<pollfd, 2> streams{{{out.reader(), POLLIN, 0}, {err.reader(), POLLIN, 0}}};
  double deadline = seconds;
  bool killed = false, ended = false;
  int status = 0;
  while (!ended) {
    ::poll(streams.data(), streams.size(), 20);
    if (streams[0].revents != 0 && !out.read_into(result.output)) streams[0].fd = -1;
    if (streams[1].revents != 0 && !err.read_into(result.errors)) streams[1].fd = -1;
    ended = ::waitpid(child, &status, WNOHANG) == child;
    if (!result.timed_out && cancelled && cancelled()) deadline = 0;
    if (ended || elapsed() < deadline || killed) continue;
    ::kill(-child, result.timed_out ? SIGKILL : SIGTERM);
    killed = result.timed_out;
    result.timed_out = true;
    deadline = elapsed() + kPatienceAfterTerm;
  }
  result.seconds = elapsed();
  // What was written last may still lie in the pipes; a grandchild that holds them open is not
  // waited for.
  for (auto* stream : {&out, &err}) {
    ::fcntl(stream->reader(), F_SETFL, O_NONBLOCK);
    auto& text = stream == &out ? result.output : result.errors;
    while (text.size() < kMostBytes && stream->read_into(text)) {
    }
  }
  result.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace limewash
