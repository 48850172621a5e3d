#include "trainer/adamw.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace limewash::trainer {
namespace {

at::Tensor numbers(int64_t count, double phase) {
  return torch::sin(torch::arange(count, torch::kFloat) * 0.37 + phase);
}

TEST(AdamW, EqualsTheLibrarysAdamW) {
  OptimizerOptions options;
  options.weight_decay = 0.05;
  options.clip = 0;
  auto ours = numbers(257, 0.1);
  auto theirs = ours.clone().requires_grad_(true);
  AdamW optimizer(options, ours);
  torch::optim::AdamW reference({theirs}, torch::optim::AdamWOptions(0.01).weight_decay(0.05));
  for (int step = 0; step < 10; ++step) {
    const auto gradient = numbers(257, step);
    theirs.mutable_grad() = gradient.clone();
    reference.step();
    optimizer.step(gradient.clone(), 0.01);
  }
  EXPECT_LT((ours - theirs.detach()).abs().max().item<double>(), 2e-6);
}

TEST(AdamW, ClipsTheWholeGradientAndReportsItsNorm) {
  OptimizerOptions options;
  options.clip = 1.0;
  auto values = torch::zeros({4});
  AdamW optimizer(options, values);
  auto gradient = torch::tensor({3.0F, 0.0F, 4.0F, 0.0F});
  EXPECT_NEAR(optimizer.step(gradient, 1e-3), 5.0, 1e-6);
  EXPECT_NEAR(gradient.norm().item<double>(), 1.0, 1e-5);
}

TEST(AdamW, LeavesEverythingAloneWhenTheGradientIsNotFinite) {
  OptimizerOptions options;
  options.ema = 0.9;
  auto values = numbers(8, 0);
  AdamW optimizer(options, values);
  optimizer.step(numbers(8, 1), 1e-2);
  const auto before = values.clone(), average = optimizer.ema.clone();
  auto gradient = numbers(8, 2);
  gradient[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(std::isfinite(optimizer.step(gradient, 1e-2)));
  EXPECT_TRUE(torch::equal(values, before));
  EXPECT_TRUE(torch::equal(optimizer.ema, average));
  EXPECT_EQ(optimizer.updates, 1);
}

TEST(AdamW, AveragesTheWeightsItHasSeen) {
  OptimizerOptions options;
  options.ema = 0.5;
  auto values = torch::zeros({1});
  AdamW optimizer(options, values);
  double expected = 0;
  for (int update = 1; update <= 20; ++update) {
    optimizer.step(torch::ones({1}), 0.1);
    const double decay = std::min(0.5, (1.0 + update) / (10.0 + update));
    expected = decay * expected + (1 - decay) * values.item<double>();
  }
  EXPECT_NEAR(optimizer.averaged().item<double>(), expected, 1e-5);
}

TEST(LearningRate, WarmsUpAndThenFollowsTheSchedule) {
  OptimizerOptions options;
  options.learning_rate = 1.0;
  options.warmup_steps = 10;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 0, 110), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 9, 110), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 100, 110), 1.0);
  options.schedule = "cosine";
  EXPECT_NEAR(learning_rate_at(options, 60, 110), 0.5, 1e-12);
  EXPECT_NEAR(learning_rate_at(options, 110, 110), 0.0, 1e-12);
  options.schedule = "linear";
  EXPECT_NEAR(learning_rate_at(options, 35, 110), 0.75, 1e-12);
}

}  // namespace
}  // namespace limewash::trainer
