#include "runtime/stop_signal.h"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

namespace limewash {
namespace {

// Whether a stop is asked for within a few seconds.
bool stop_comes() {
  for (int i = 0; i < 5000 && !stop_requested(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return stop_requested();
}

bool blocks(int signal) {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return sigismember(&mask, signal) == 1;
}

TEST(StopSignal, IsTakenFromEverySignalOfTheList) {
  install_stop_signals();
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) {
    request_stop(false);
    EXPECT_FALSE(stop_requested());
    ::kill(::getpid(), signal);
    EXPECT_TRUE(stop_comes()) << signal;
  }
  request_stop(false);
}

TEST(StopSignal, InterruptsNoThreadThatComputes) {
  install_stop_signals();
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) {
    EXPECT_TRUE(blocks(signal));
    bool worker_blocks = false;
    std::thread([&] { worker_blocks = blocks(signal); }).join();
    EXPECT_TRUE(worker_blocks);
  }
}

TEST(StopSignal, ReachesAProgramThatIsStarted) {
  install_stop_signals();
  const pid_t child = ::fork();
  if (child == 0) {
    unblock_stop_signals();
    ::execlp("sleep", "sleep", "60", nullptr);
    std::_Exit(1);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::kill(child, SIGUSR1);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1) << status;
}

TEST(StopSignal, IsAskedForAndTakenBackInsideTheProcess) {
  request_stop();
  EXPECT_TRUE(stop_requested());
  request_stop(false);
  EXPECT_FALSE(stop_requested());
}

// The signal that ended a child which is sent `signals`; 0 when it went on to the end.
int ending_signal(std::initializer_list<int> signals) {
  const pid_t child = ::fork();
  if (child == 0) {
    request_stop(false);
    install_stop_signals();
    for (const int signal : signals) {
      ::kill(::getpid(), signal);
      if (!stop_comes()) std::_Exit(1);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));  // for the second of its kind
    }
    std::_Exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(StopSignal, EndsTheProcessAtTheSecondInterrupt) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer lets no threads be started in a forked child";
#endif
  EXPECT_EQ(ending_signal({SIGINT}), 0);
  EXPECT_EQ(ending_signal({SIGINT, SIGINT}), SIGINT);
  EXPECT_EQ(ending_signal({SIGTERM, SIGTERM, SIGUSR1, SIGINT}), 0);
}

}  // namespace
}  // namespace limewash
