#include "data/sample_order.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <thread>
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

/// Buckets of these sizes; the dataset's indices are dealt to them in turns.
std::vector<std::vector<int64_t>> dealt(std::vector<int64_t> sizes) {
  std::vector<std::vector<int64_t>> buckets(sizes.size());
  int64_t index = 0;
  for (bool any = true; any;) {
    any = false;
    for (size_t b = 0; b < sizes.size(); ++b)
      if (static_cast<int64_t>(buckets[b].size()) < sizes[b]) {
        buckets[b].push_back(index++);
        any = true;
      }
  }
  return buckets;
}

std::vector<int64_t> step_samples(const SampleOrder& order, int64_t step, int64_t batch) {
  std::vector<int64_t> samples;
  const StepPlan plan = order.step(step);
  for (int64_t i = 0; i < batch; ++i)
    samples.push_back(order.at(plan.bucket, plan.first + i).index);
  return samples;
}

TEST(SampleOrder, OfOneBucketIsTheOrderOfTheWholeDataset) {
  for (const int64_t batch : {1, 8, 64}) {
    const SampleOrder order(42, batch, dealt({37}));
    for (int64_t step = 0; step < 40; ++step)
      for (int64_t i = 0; i < batch; ++i) {
        const StepPlan plan = order.step(step);
        const StreamPosition ours = order.at(plan.bucket, plan.first + i);
        const StreamPosition expected = sample_at(42, 37, step * batch + i);
        EXPECT_EQ(ours.index, expected.index);
        EXPECT_EQ(ours.epoch, expected.epoch);
      }
  }
}

TEST(SampleOrder, DrawsAStepFromOneBucketAndLeavesNoSampleOut) {
  constexpr int64_t kBatch = 8;
  const auto buckets = dealt({100, 40, 3, 0, 26});
  std::vector<size_t> bucket_of(169);
  for (size_t b = 0; b < buckets.size(); ++b)
    for (const int64_t index : buckets[b]) bucket_of[static_cast<size_t>(index)] = b;
  const SampleOrder order(7, kBatch, buckets);
  // 100 / 8 = 12.5, 40 / 8 = 5, at least one, none, 26 / 8 = 3.25.
  EXPECT_EQ(order.steps_of_cycle(), 13 + 5 + 1 + 0 + 3);
  std::set<int64_t> seen;
  for (int64_t step = 0; step < 2 * order.steps_of_cycle(); ++step) {
    std::set<size_t> of_step;
    for (const int64_t index : step_samples(order, step, kBatch)) {
      of_step.insert(bucket_of[static_cast<size_t>(index)]);
      seen.insert(index);
    }
    EXPECT_EQ(of_step.size(), 1u) << "step " << step;
  }
  EXPECT_EQ(seen.size(), 169u);
}

TEST(SampleOrder, GivesEachBucketItsShareInEveryCycle) {
  constexpr int64_t kBatch = 4;
  const SampleOrder order(3, kBatch, dealt({400, 100, 40}));
  ASSERT_EQ(order.steps_of_cycle(), 135);
  for (int64_t cycle = 0; cycle < 3; ++cycle) {
    std::map<int64_t, int> steps;
    for (int64_t i = 0; i < 135; ++i) ++steps[order.step(cycle * 135 + i).bucket];
    EXPECT_EQ(steps, (std::map<int64_t, int>{{0, 100}, {1, 25}, {2, 10}}));
  }
}

TEST(SampleOrder, MixesTheBucketsAnewInEveryCycle) {
  const SampleOrder order(3, 1, dealt({30, 30}));
  const auto buckets = [&](int64_t cycle) {
    std::vector<int64_t> sequence;
    for (int64_t i = 0; i < 60; ++i) sequence.push_back(order.step(cycle * 60 + i).bucket);
    return sequence;
  };
  EXPECT_NE(buckets(0), buckets(1));
  // Not one bucket after the other: a fair mix of 30 and 30 changes about 30 times.
  const auto sequence = buckets(0);
  int changes = 0;
  for (size_t i = 1; i < sequence.size(); ++i) changes += sequence[i] != sequence[i - 1] ? 1 : 0;
  EXPECT_GT(changes, 15);
}

TEST(SampleOrder, VisitsEverySampleOfABucketOnceAnEpoch) {
  constexpr int64_t kBatch = 4;
  const SampleOrder order(11, kBatch, dealt({50, 21}));
  std::map<std::pair<int64_t, uint64_t>, int> visits;
  for (int64_t step = 0; step < 20 * order.steps_of_cycle(); ++step) {
    const StepPlan plan = order.step(step);
    for (int64_t i = 0; i < kBatch; ++i) {
      const auto sample = order.at(plan.bucket, plan.first + i);
      ++visits[{sample.index, sample.epoch}];
    }
  }
  for (const auto& [sample, count] : visits) EXPECT_EQ(count, 1);
  for (int64_t index = 0; index < 71; ++index)
    for (uint64_t epoch = 0; epoch < 15; ++epoch)
      EXPECT_EQ(visits.count({index, epoch}), 1u) << index << " in epoch " << epoch;
}

TEST(SampleOrder, IsTheSameWhereverItIsEntered) {
  constexpr int64_t kBatch = 8;
  const auto buckets = dealt({100, 40, 3});
  const SampleOrder walked(5, kBatch, buckets);
  std::vector<std::vector<int64_t>> straight;
  for (int64_t step = 0; step < 200; ++step) straight.push_back(step_samples(walked, step, kBatch));
  for (const int64_t step : {199, 0, 57, 58, 20, 150}) {
    const SampleOrder entered(5, kBatch, buckets);
    EXPECT_EQ(step_samples(entered, step, kBatch), straight[static_cast<size_t>(step)]);
  }
  // Far away it is there at once, too.
  const SampleOrder far(5, kBatch, buckets);
  EXPECT_EQ(step_samples(far, 1'000'000'000'007, kBatch),
            step_samples(walked, 1'000'000'000'007, kBatch));
  EXPECT_NE(step_samples(SampleOrder(6, kBatch, buckets), 0, kBatch), straight[0]);
}

TEST(SampleOrder, IsTheSameFromManyThreads) {
  constexpr int64_t kBatch = 2, kSteps = 400;
  const SampleOrder order(5, kBatch, dealt({20, 9, 5}));
  std::vector<std::vector<int64_t>> straight(kSteps), shared(kSteps);
  for (int64_t step = 0; step < kSteps; ++step)
    straight[static_cast<size_t>(step)] = step_samples(order, step, kBatch);
  {
    std::vector<std::jthread> threads;
    for (int64_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (int64_t step = t; step < kSteps; step += 4)
          shared[static_cast<size_t>(step)] = step_samples(order, step, kBatch);
      });
  }
  EXPECT_EQ(shared, straight);
}

TEST(SampleOrder, RefusesBucketsWithoutSamples) {
  EXPECT_THROW(SampleOrder(1, 8, dealt({0, 0})), InputError);
  EXPECT_THROW(SampleOrder(1, 8, {}), InputError);
}

}  // namespace
}  // namespace limewash::data
