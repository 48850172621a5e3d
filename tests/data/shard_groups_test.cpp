#include "data/shard_groups.h"

#include <gtest/gtest.h>

#include "data/dataset_summary.h"
#include "data/split.h"
#include "runtime/random.h"
#include "tests/data/dataset_fixture.h"

namespace limewash::data {
namespace {

PackedSample packed(int64_t size, int number) {
  return pack(plain_sample(size, number), 0, false);
}

std::vector<std::string> ids(const ShardGroups::Shard& shard) {
  std::vector<std::string> names;
  for (const PackedSample& sample : shard.samples) names.push_back(sample.sample.id);
  return names;
}

std::string id(int number) {
  return plain_sample(8, number).id;
}

TEST(ShardGroups, FillsEachSideAndSizeOnItsOwn) {
  ShardGroups groups(2, 1 << 20);
  EXPECT_FALSE(groups.add("train", packed(8, 0)));
  EXPECT_FALSE(groups.add("train", packed(16, 1)));
  EXPECT_FALSE(groups.add("test", packed(8, 2)));
  const auto full = groups.add("train", packed(8, 3));
  ASSERT_TRUE(full);
  EXPECT_EQ(full->split, "train");
  EXPECT_EQ(ids(*full), (std::vector<std::string>{id(0), id(3)}));
  const auto first = groups.take_rest(), second = groups.take_rest();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(ids(*first), std::vector<std::string>{id(2)});
  EXPECT_EQ(ids(*second), std::vector<std::string>{id(1)});
  EXPECT_FALSE(groups.take_rest());
}

TEST(ShardGroups, WritesTheLargestGroupBeforeMemoryRunsOut) {
  const int64_t sample = 8 * 8 * 5;
  ShardGroups groups(100, 4 * sample);
  EXPECT_FALSE(groups.add("test", packed(8, 0)));
  for (int i = 1; i < 4; ++i) EXPECT_FALSE(groups.add("train", packed(8, i)));
  const auto early = groups.add("test", packed(8, 4));
  ASSERT_TRUE(early);
  EXPECT_EQ(early->split, "train");
  EXPECT_EQ(early->samples.size(), 3u);
}

TEST(Split, SharesAreKeptAndNobodyChangesSideWhenTheyGrow) {
  int validation = 0, test = 0;
  for (int i = 0; i < 20000; ++i) {
    const uint64_t key = stable_id(numbered("room/photo-", i, ".jpg"));
    const std::string side = split_of(key, 0.1, 0.05);
    validation += side == "validation";
    test += side == "test";
    if (side != "train") {
      EXPECT_EQ(split_of(key, 0.2, 0.1), side);
    }
    EXPECT_EQ(split_of(key, 0, 0), "train");
  }
  EXPECT_NEAR(validation, 2000, 150);
  EXPECT_NEAR(test, 1000, 100);
}

TEST(Distribution, InterpolatesQuantilesAndCountsWhatIsMissing) {
  Distribution one("part");
  for (const float value : {0.4f, 0.1f, 0.2f, 0.8f}) one.add(value);
  one.add(std::numeric_limits<float>::quiet_NaN());
  // numpy.quantile([.4, .1, .2, .8], [0, .25, .5, .95, 1])
  EXPECT_NEAR(one.quantile(0), 0.1, 1e-6);
  EXPECT_NEAR(one.quantile(0.25), 0.175, 1e-6);
  EXPECT_NEAR(one.quantile(0.5), 0.3, 1e-6);
  EXPECT_NEAR(one.quantile(0.95), 0.74, 1e-6);
  EXPECT_NEAR(one.quantile(1), 0.8, 1e-6);
  EXPECT_NEAR(one.mean(), 0.375, 1e-6);
  EXPECT_EQ(one.missing(), 1);
}

}  // namespace
}  // namespace limewash::data
