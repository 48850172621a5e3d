#include "runtime/threads.h"

#include <algorithm>
#include <sched.h>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <opencv2/core/utility.hpp>

#include "runtime/error.h"

namespace limewash {
namespace {

TEST(Threads, SetsTheCountInLibTorchAndOpenCv) {
  EXPECT_EQ(configure_threads(3, 1), 3);
  EXPECT_EQ(at::get_num_threads(), 3);
  EXPECT_EQ(cv::getNumThreads(), 3);
}

TEST(Threads, SharesTheCoresAmongTheRanksOfAHost) {
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  const int64_t all = configure_threads(0, 1);
  EXPECT_GE(all, 1);
  EXPECT_LE(all, CPU_COUNT(&set));
  EXPECT_EQ(configure_threads(0, 2), std::max<int64_t>(1, all / 2));
  EXPECT_EQ(configure_threads(0, 100000), 1);
  EXPECT_EQ(at::get_num_threads(), 1);
}

TEST(Threads, RefusesACountThatCantBe) {
  EXPECT_THROW(configure_threads(-1, 1), ConfigError);
  EXPECT_THROW(configure_threads(1 << 20, 1), ConfigError);
}

}  // namespace
}  // namespace limewash
