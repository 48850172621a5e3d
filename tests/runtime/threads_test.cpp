#include "runtime/threads.h"

#include <algorithm>
#include <sched.h>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <opencv2/core/utility.hpp>

#include "runtime/error.h"
#include "runtime/host_info.h"

namespace limewash {
namespace {

TEST(Threads, SetsTheCountInLibTorchAndOpenCv) {
  EXPECT_EQ(configure_threads(3), 3);
  EXPECT_EQ(at::get_num_threads(), 3);
  EXPECT_EQ(cv::getNumThreads(), 3);
}

TEST(Threads, SharesTheCoresAmongTheRanksOfAHost) {
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  const int64_t all = configure_threads(0);
  EXPECT_GE(all, 1);
  EXPECT_LE(all, CPU_COUNT(&set));
  EXPECT_EQ(configure_threads(0, {2, 2}), std::max<int64_t>(1, all / 2));
  EXPECT_EQ(configure_threads(0, {100000, 100000}), 1);
  EXPECT_EQ(at::get_num_threads(), 1);
}

TEST(Threads, ARankWithCoresOfItsOwnTakesThemAll) {
  const int64_t all = configure_threads(0);
  EXPECT_EQ(configure_threads(0, {2, 1}), read_core_limits().share(2, 1));
  CoreLimits cores{.online = 64, .allowed = 16, .quota = {}};
  EXPECT_EQ(cores.share(4, 1), 16);
  EXPECT_EQ(cores.share(4, 2), 8);
  cores.quota = 32.0;
  EXPECT_EQ(cores.share(4, 1), 8) << "the quota is everybody's";
  EXPECT_EQ(cores.share(100, 1), 1);
  EXPECT_EQ(configure_threads(0), all);
}

TEST(Threads, RefusesACountThatCantBe) {
  EXPECT_THROW(configure_threads(-1), ConfigError);
  EXPECT_THROW(configure_threads(1 << 20), ConfigError);
}

}  // namespace
}  // namespace limewash
