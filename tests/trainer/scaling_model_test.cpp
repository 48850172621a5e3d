#include "trainer/scaling_model.h"

#include <cmath>

#include <gtest/gtest.h>

namespace limewash::trainer {
namespace {

TEST(ScalingModel, ExpectsTheMaximumOfNormals) {
  EXPECT_NEAR(expected_maximum(1), 0, 1e-9);
  EXPECT_NEAR(expected_maximum(2), 1 / std::sqrt(M_PI), 1e-9);
  EXPECT_NEAR(expected_maximum(3), 1.5 / std::sqrt(M_PI), 1e-9);
  EXPECT_NEAR(expected_maximum(8), 1.4236003, 1e-6);
  EXPECT_NEAR(expected_maximum(1000), 3.2414, 1e-4);
}

Cluster cluster() {
  return {"", 8, 100e9, 5e-6, 10e9, 20e-6};
}

TEST(ScalingModel, SumsInsideAndBetweenNodes) {
  EXPECT_EQ(all_reduce_seconds(cluster(), 1e6, 1), 0);
  const double inside = 2 * 7 / 8.0 * 1e6 / 100e9 + 2 * 7 * 5e-6;
  EXPECT_DOUBLE_EQ(all_reduce_seconds(cluster(), 1e6, 8), inside);
  const double between = 2 * 3 / 4.0 * 1e6 / 10e9 + 2 * 2 * 20e-6;
  EXPECT_DOUBLE_EQ(all_reduce_seconds(cluster(), 1e6, 32), inside + between);
}

TEST(ScalingModel, OneRankIsTheMeasureAndMoreAreNeverBetter) {
  const StepModel step{0.2, 0.02, 6.4e6};
  EXPECT_EQ(predict_step(step, cluster(), 1).efficiency, 1);
  double before = 1;
  for (int64_t ranks = 2; ranks <= 1024; ranks *= 2) {
    const auto predicted = predict_step(step, cluster(), ranks);
    EXPECT_LT(predicted.efficiency, before);
    EXPECT_NEAR(predicted.straggler_seconds, 0.004 * expected_maximum(ranks), 1e-12);
    before = predicted.efficiency;
  }
  EXPECT_GT(before, 0.9);
}

TEST(ScalingModel, EveryUsualClusterHasItsFigures) {
  for (const auto& one : usual_clusters()) {
    EXPECT_FALSE(one.name.empty());
    EXPECT_GT(one.node_bytes_per_second, 0) << one.name;
    EXPECT_GT(one.network_bytes_per_second, 0) << one.name;
    EXPECT_GT(one.network_latency_seconds, 0) << one.name;
  }
}

}  // namespace
}  // namespace limewash::trainer
