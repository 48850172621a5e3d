#include "runtime/stop_signal.h"

#include <atomic>
#include <csignal>

namespace limewash {

namespace {

// Lock-free, so a signal handler may use them, and other threads see them.
std::atomic<bool> stop{false};
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

extern "C" void on_stop_signal(int signal) {
  if (signal == SIGINT && interrupted.exchange(true)) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);  // delivered with its default action when this handler returns
    return;
  }
  stop = true;
}

}  // namespace

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) {
    sigaction(signal, &action, nullptr);
  }
}

bool stop_requested() {
  return stop;
}

void request_stop(bool value) {
  stop = value;
  if (!value) interrupted = false;
}

}  // namespace limewash
