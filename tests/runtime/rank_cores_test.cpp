#include "runtime/rank_cores.h"

#include <thread>

#include <gtest/gtest.h>

namespace limewash {
namespace {

TEST(RankCores, RanksThatShareACoreAreCounted) {
  const RankCores left{"a", "one", {1, 1, 0, 0}}, right{"a", "one", {0, 0, 1, 1}},
      middle{"a", "one", {0, 1, 1, 0}};
  const RankCores elsewhere{"a", "two", {1, 1, 1, 1}};
  const std::vector<RankCores> all{left, left, right, elsewhere};
  EXPECT_EQ(count_ranks(left, all).all, 3);
  EXPECT_EQ(count_ranks(left, all).on_these_cores, 2);
  EXPECT_EQ(count_ranks(right, all).on_these_cores, 1);
  EXPECT_EQ(count_ranks(elsewhere, all).all, 1);
  EXPECT_EQ(count_ranks(middle, {left, right, middle}).on_these_cores, 3);
}

TEST(RankCores, UnknownCoresMayBeAll) {
  const RankCores unknown{"a", "one", {}}, left{"a", "one", {1, 0}};
  EXPECT_EQ(count_ranks(unknown, {unknown, left}).on_these_cores, 2);
  EXPECT_EQ(count_ranks(left, {unknown, left}).on_these_cores, 2);
}

TEST(RankCores, ContainersOfAMachineShareItsCoresButNoQuota) {
  const RankCores here{"a", "one", {1, 1}}, there{"b", "one", {1, 1}};
  EXPECT_EQ(count_ranks(here, {here, there}).all, 1);
  EXPECT_EQ(count_ranks(here, {here, there}).on_these_cores, 2);
}

TEST(RankCores, RanksOfThisProcessShareAll) {
  auto ranks = make_thread_communicators(3);
  std::vector<std::thread> threads;
  std::vector<RanksOnHost> counted(ranks.size());
  for (size_t rank = 0; rank < ranks.size(); ++rank)
    threads.emplace_back([&, rank] { counted[rank] = ranks_on_host(*ranks[rank]); });
  for (auto& thread : threads) thread.join();
  for (const auto& count : counted) {
    EXPECT_EQ(count.all, 3);
    EXPECT_EQ(count.on_these_cores, 3);
  }
  EXPECT_FALSE(read_rank_cores().machine.empty());
}

}  // namespace
}  // namespace limewash
