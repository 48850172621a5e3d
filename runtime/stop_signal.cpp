#include "runtime/stop_signal.h"

#include <atomic>
#include <csignal>
#include <initializer_list>
#include <thread>
#include <unistd.h>

namespace limewash {

namespace {

constexpr std::initializer_list<int> kStopSignals{SIGTERM, SIGINT, SIGUSR1, SIGUSR2};

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

/// Block or unblock the stop signals in the calling thread; `how` as pthread_sigmask takes it.
void mask_stop_signals(int how) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : kStopSignals) sigaddset(&signals, signal);
  pthread_sigmask(how, &signals, nullptr);
}

/// A forked child has the parent's memory but not its threads.
void start_signal_thread() {
  static std::atomic<pid_t> started_in{0};
  if (started_in.exchange(::getpid()) == ::getpid()) return;
  // It touches nothing that ends with the process, so nobody needs to wait for it.
  std::thread([] {
    mask_stop_signals(SIG_UNBLOCK);
    for (;;) ::pause();
  }).detach();
}

}  // namespace

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : kStopSignals) sigaction(signal, &action, nullptr);
  mask_stop_signals(SIG_BLOCK);
  start_signal_thread();
}

void unblock_stop_signals() {
  mask_stop_signals(SIG_UNBLOCK);
}

bool stop_requested() {
  return stop;
}

void request_stop(bool value) {
  stop = value;
  if (!value) interrupted = false;
}

}  // namespace limewash
