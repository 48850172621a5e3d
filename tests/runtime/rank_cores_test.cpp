#include "runtime/rank_cores.h"

#include <thread>

#include <gtest/gtest.h>

namespace limewash {
namespace {

TEST(RankCores, RanksThatShareACoreAreCounted) {
  const RankCores left{"one", {1, 1, 0, 0}}, right{"one", {0, 0, 1, 1}},
      middle{"one", {0, 1, 1, 0}};
  const RankCores elsewhere{"two", {1, 1, 1, 1}};
  const std::vector<RankCores> all{left, left, right, elsewhere};
  EXPECT_EQ(count_sharers(left, all), 2);
  EXPECT_EQ(count_sharers(right, all), 1);
  EXPECT_EQ(count_sharers(elsewhere, all), 1);
  EXPECT_EQ(count_sharers(middle, {left, right, middle}), 3);
}

TEST(RankCores, UnknownCoresMayBeAll) {
  const RankCores unknown{"one", {}}, left{"one", {1, 0}};
  EXPECT_EQ(count_sharers(unknown, {unknown, left}), 2);
  EXPECT_EQ(count_sharers(left, {unknown, left}), 2);
}

TEST(RankCores, RanksOfThisProcessShareAll) {
  auto ranks = make_thread_communicators(3);
  std::vector<std::thread> threads;
  std::vector<int> counted(ranks.size());
  for (size_t rank = 0; rank < ranks.size(); ++rank)
    threads.emplace_back([&, rank] { counted[rank] = ranks_on_these_cores(*ranks[rank]); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counted, std::vector<int>({3, 3, 3}));
  EXPECT_FALSE(read_rank_cores().machine.empty());
}

}  // namespace
}  // namespace limewash
