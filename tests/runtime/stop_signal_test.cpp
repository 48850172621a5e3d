#include "runtime/stop_signal.h"

#include <csignal>
#include <cstdlib>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace limewash {
namespace {

TEST(StopSignal, IsTakenFromEverySignalOfTheList) {
  install_stop_signals();
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGUSR2}) {
    request_stop(false);
    EXPECT_FALSE(stop_requested());
    std::raise(signal);
    EXPECT_TRUE(stop_requested()) << signal;
  }
  request_stop(false);
}

TEST(StopSignal, IsAskedForAndTakenBackInsideTheProcess) {
  request_stop();
  EXPECT_TRUE(stop_requested());
  request_stop(false);
  EXPECT_FALSE(stop_requested());
}

// The signal that ended a child which sends itself `signals`; 0 when it went on to the end.
int ending_signal(std::initializer_list<int> signals) {
  const pid_t child = ::fork();
  if (child == 0) {
    request_stop(false);
    install_stop_signals();
    for (const int signal : signals) std::raise(signal);
    std::_Exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(StopSignal, EndsTheProcessAtTheSecondInterrupt) {
  EXPECT_EQ(ending_signal({SIGINT}), 0);
  EXPECT_EQ(ending_signal({SIGINT, SIGINT}), SIGINT);
  EXPECT_EQ(ending_signal({SIGTERM, SIGTERM, SIGUSR1, SIGINT}), 0);
}

}  // namespace
}  // namespace limewash
