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
  EXPECT_NEAR(optimizer.step(gradient, 1e-3).item<double>(), 5.0, 1e-6);
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
  EXPECT_FALSE(std::isfinite(optimizer.step(gradient, 1e-2).item<double>()));
  EXPECT_TRUE(torch::equal(values, before));
  EXPECT_TRUE(torch::equal(optimizer.ema, average));
  EXPECT_EQ(optimizer.updates(), 1);
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

TEST(AdamW, DecidesOnADeviceWhatTheHostDecides) {
  OptimizerOptions options;
  options.ema = 0.9;
  options.clip = 1.5;
  auto host_values = numbers(101, 0.3), device_values = host_values.clone();
  AdamW host(options, host_values, {}, AdamW::Decision::kHost);
  AdamW device(options, device_values, {}, AdamW::Decision::kDevice);
  for (int step = 0; step < 12; ++step) {
    // Small and large gradients, and one that is not finite.
    auto gradient = numbers(101, step) * (step % 3 == 0 ? 0.1 : 1.0);
    if (step == 5) gradient[7] = std::numeric_limits<float>::infinity();
    const auto one = host.step(gradient.clone(), 1e-2), other = device.step(gradient.clone(), 1e-2);
    EXPECT_EQ(one.item<float>(), other.item<float>());
  }
  EXPECT_EQ(host.updates(), 11);
  EXPECT_EQ(device.updates(), 11);
  EXPECT_TRUE(torch::allclose(host_values, device_values, 1e-6, 1e-7));
  EXPECT_TRUE(torch::allclose(host.ema, device.ema, 1e-6, 1e-7));
  EXPECT_TRUE(torch::allclose(host.exp_avg_sq, device.exp_avg_sq, 1e-6, 1e-9));
}

TEST(AdamW, GivesEachSegmentItsOwnLearningRate) {
  OptimizerOptions options;
  options.clip = 0;
  auto together = numbers(60, 0.2), first = together.narrow(0, 0, 25).clone(),
       second = together.narrow(0, 25, 35).clone();
  AdamW optimizer(options, together, {25, 35});
  AdamW of_first(options, first), of_second(options, second);
  for (int step = 0; step < 5; ++step) {
    const auto gradient = numbers(60, step);
    of_first.step(gradient.narrow(0, 0, 25).clone(), 1e-2);
    of_second.step(gradient.narrow(0, 25, 35).clone(), 1e-4);
    optimizer.step(gradient.clone(), std::vector<double>{1e-2, 1e-4});
  }
  EXPECT_TRUE(torch::allclose(together, torch::cat({first, second}), 0, 1e-8));
  EXPECT_FALSE(torch::allclose(first, numbers(60, 0.2).narrow(0, 0, 25), 0, 1e-3));
}

}  // namespace
}  // namespace limewash::trainer
