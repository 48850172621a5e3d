#include "trainer/spike_guard.h"

#include <limits>

#include <gtest/gtest.h>

#include "runtime/random.h"

namespace limewash::trainer {
namespace {

SpikeGuardOptions options(const char* action) {
  SpikeGuardOptions options;
  options.action = action;
  options.window = 20;
  options.threshold = 6;
  return options;
}

/// 0.1 and a little normal noise.
class Losses {
 public:
  double next() {
    return 0.1 + 0.01 * stream_.normal();
  }

 private:
  RandomStream stream_{3, Purpose::kNoise, 0, 0};
};

TEST(SpikeGuard, TellsALossThatStandsOutAndNoOther) {
  SpikeGuard guard(options("skip"));
  Losses losses;
  for (int step = 0; step < 300; ++step) EXPECT_FALSE(guard.judge(losses.next()).spike) << step;
  const auto verdict = guard.judge(0.3);
  EXPECT_TRUE(verdict.spike);
  EXPECT_TRUE(verdict.skip);
  EXPECT_NEAR(verdict.median, 0.1, 0.01);
  EXPECT_NEAR(verdict.deviation, 0.01, 0.008);
  EXPECT_FALSE(guard.judge(0.0).spike) << "a low loss is no spike";
  EXPECT_FALSE(guard.judge(losses.next()).spike);
  EXPECT_EQ(guard.spikes(), 1);
}

TEST(SpikeGuard, WaitsForHalfAWindowOfLosses) {
  SpikeGuard guard(options("warn"));
  for (int step = 0; step < 9; ++step) guard.judge(0.1);
  EXPECT_FALSE(guard.judge(50.0).spike) << "nine losses are not enough";
  const auto verdict = guard.judge(50.0);
  EXPECT_TRUE(verdict.spike);
  EXPECT_FALSE(verdict.skip) << "it only warns";
}

TEST(SpikeGuard, GetsUsedToALastingChangeWithinHalfAWindow) {
  SpikeGuard guard(options("skip"));
  Losses losses;
  for (int step = 0; step < 40; ++step) guard.judge(losses.next());
  int skipped = 0;
  for (int step = 0; step < 40; ++step) skipped += guard.judge(1.0 + losses.next()).skip ? 1 : 0;
  EXPECT_GT(skipped, 0);
  EXPECT_LE(skipped, 11);
}

TEST(SpikeGuard, LeavesOutWhatIsNotFinite) {
  SpikeGuard guard(options("skip"));
  for (int step = 0; step < 20; ++step) {
    guard.judge(0.1);
    EXPECT_FALSE(guard.judge(std::numeric_limits<double>::quiet_NaN()).spike);
    EXPECT_FALSE(guard.judge(std::numeric_limits<double>::infinity()).spike);
  }
  EXPECT_EQ(guard.losses().size(), 20U);
}

TEST(SpikeGuard, GoesOnAsIfItHadNeverStopped) {
  SpikeGuard straight(options("skip")), first(options("skip"));
  Losses losses;
  const auto loss_of = [&](int step) { return step % 17 == 16 ? 0.4 : losses.next(); };
  std::vector<double> all;
  for (int step = 0; step < 90; ++step) all.push_back(loss_of(step));
  for (int step = 0; step < 45; ++step) {
    straight.judge(all[static_cast<size_t>(step)]);
    first.judge(all[static_cast<size_t>(step)]);
  }
  SpikeGuard second(options("skip"));
  second.restore(first.losses(), first.spikes());
  for (size_t step = 45; step < 90; ++step) {
    const auto one = straight.judge(all[step]), other = second.judge(all[step]);
    EXPECT_EQ(one.skip, other.skip) << step;
    EXPECT_EQ(one.median, other.median);
  }
  EXPECT_GT(straight.spikes(), 2);
  EXPECT_EQ(straight.spikes(), second.spikes());
}

TEST(SpikeGuard, DoesNothingWhenItIsOff) {
  SpikeGuard guard(options("off"));
  for (int step = 0; step < 30; ++step) EXPECT_FALSE(guard.judge(step == 25 ? 1e9 : 0.1).spike);
  EXPECT_TRUE(guard.losses().empty());
}

}  // namespace
}  // namespace limewash::trainer
