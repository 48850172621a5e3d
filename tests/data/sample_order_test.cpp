#include "data/sample_order.h"

#include <algorithm>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace limewash::data {
namespace {

TEST(SampleOrder, VisitsEverySampleOnceAnEpoch) {
  for (const int64_t size : {1, 2, 7, 64, 1000}) {
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      std::set<int64_t> seen;
      for (int64_t i = 0; i < size; ++i) {
        const auto position = sample_at(42, size, static_cast<int64_t>(epoch) * size + i);
        EXPECT_EQ(position.epoch, epoch);
        EXPECT_GE(position.index, 0);
        EXPECT_LT(position.index, size);
        seen.insert(position.index);
      }
      EXPECT_EQ(static_cast<int64_t>(seen.size()), size);
    }
  }
}

TEST(SampleOrder, ChangesWithSeedAndEpoch) {
  const auto order = [](uint64_t seed, int64_t epoch) {
    std::vector<int64_t> indices;
    for (int64_t i = 0; i < 100; ++i)
      indices.push_back(sample_at(seed, 100, epoch * 100 + i).index);
    return indices;
  };
  EXPECT_NE(order(1, 0), order(1, 1));
  EXPECT_NE(order(1, 0), order(2, 0));
  EXPECT_EQ(order(1, 5), order(1, 5));
}

TEST(SampleOrder, RefusesAnEmptyDataset) {
  EXPECT_THROW(sample_at(1, 0, 0), InputError);
}

TEST(SampleOrder, ShowsEachRecoloringOnceInAsManyEpochs) {
  for (uint64_t id = 0; id < 50; ++id) {
    for (const uint64_t first : {uint64_t{0}, uint64_t{17}}) {
      std::set<int64_t> seen;
      for (uint64_t epoch = first; epoch < first + 4; ++epoch)
        seen.insert(recoloring_of(42, epoch, id, 4));
      EXPECT_EQ(seen, (std::set<int64_t>{0, 1, 2, 3}));
    }
  }
}

TEST(SampleOrder, StartsSamplesAtDifferentRecolorings) {
  std::vector<int> starts(4);
  for (uint64_t id = 0; id < 400; ++id) ++starts[static_cast<size_t>(recoloring_of(42, 0, id, 4))];
  for (const int count : starts) EXPECT_GT(count, 60);
  EXPECT_EQ(recoloring_of(42, 3, 9, 1), 0);
}

}  // namespace
}  // namespace limewash::data
