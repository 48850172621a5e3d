#include "runtime/time_limit.h"

#include <thread>

#include <gtest/gtest.h>

#include "runtime/stop_signal.h"

namespace limewash {
namespace {

using namespace std::chrono_literals;

class TimeLimitTest : public testing::Test {
 protected:
  void TearDown() override {
    request_stop(false);
  }
};

TEST_F(TimeLimitTest, StopsWhenTheTimeIsUpAndNotBefore) {
  const auto begin = std::chrono::steady_clock::now();  // before the limit's own clock starts
  const TimeLimit limit(300ms);
  while (!stop_requested() && std::chrono::steady_clock::now() - begin < 20s)
    std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(stop_requested());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 300ms);
}

TEST_F(TimeLimitTest, OneThatIsGoneStopsNothing) {
  {
    const TimeLimit limit(1s);
    const TimeLimit none(0s);
  }
  std::this_thread::sleep_for(1200ms);
  EXPECT_FALSE(stop_requested());
}

TEST_F(TimeLimitTest, ItsEndWaitsForNobody) {
  const auto begin = std::chrono::steady_clock::now();
  { const TimeLimit limit(60s); }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
  EXPECT_FALSE(stop_requested());
}

TEST_F(TimeLimitTest, ASleepEndsAtAStop) {
  const auto begin = std::chrono::steady_clock::now();
  sleep_unless_stopped(200ms);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 200ms);
  const TimeLimit limit(200ms);
  sleep_unless_stopped(60s);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
}

}  // namespace
}  // namespace limewash
