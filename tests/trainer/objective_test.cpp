#include "trainer/objective.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "data/color.h"

namespace limewash::trainer {
namespace {

models::NoiseSchedule v_schedule() {
  models::NoiseScheduleConfig config;
  config.prediction_type = models::PredictionType::kVPrediction;
  return models::NoiseSchedule(config);
}

/// Three latent channels that are RGB themselves.
const std::vector<float> kIdentityMap = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0};

struct Fixture {
  MicroBatch batch;
  Fixture() {
    torch::manual_seed(3);
    batch.z0 = torch::rand({4, 3, 6, 5}) * 0.5 + 0.25;
    batch.noise = torch::randn({4, 3, 6, 5});
    batch.mask = (torch::rand({4, 1, 6, 5}) > 0.5).to(torch::kFloat);
    batch.core = batch.mask * 0.5;
    batch.core[3].zero_();
    batch.quality = torch::tensor({1.0F, 0.5F, 1.0F, 1.0F});
    batch.timesteps = torch::tensor({10, 400, 800, 500}, torch::kLong);
    batch.told = torch::ones({4});
    batch.asked_lab = torch::zeros({4, 3});
    batch.samples.resize(4);
    for (size_t i = 0; i < 4; ++i) {
      batch.samples[i].timestep = batch.timesteps[static_cast<int64_t>(i)].item<int64_t>();
      batch.samples[i].quality = batch.quality[static_cast<int64_t>(i)].item<float>();
      batch.samples[i].has_core = i < 3;
    }
  }
  MicroBatch rows(int64_t first, int64_t count) const {
    const auto cut = [&](const at::Tensor& tensor) { return tensor.narrow(0, first, count); };
    MicroBatch part;
    part.z0 = cut(batch.z0);
    part.noise = cut(batch.noise);
    part.mask = cut(batch.mask);
    part.core = cut(batch.core);
    part.quality = cut(batch.quality);
    part.timesteps = cut(batch.timesteps);
    part.told = cut(batch.told);
    part.asked_lab = cut(batch.asked_lab);
    part.samples.assign(batch.samples.begin() + first, batch.samples.begin() + first + count);
    return part;
  }
};

LossTerms terms_of(const Objective& objective,
                   const MicroBatch& batch,
                   const at::Tensor& z_t,
                   const at::Tensor& output,
                   const LossScale& scale) {
  return objective(
      batch, z_t, output, scale.denominators(), objective.counted_terms(batch.samples, 0));
}

TEST(ColorOfLoss, EqualsTheMetricsLab) {
  for (const auto& rgb :
       {data::Rgb{0.9F, 0.2F, 0.1F}, data::Rgb{0.02F, 0.03F, 0.01F}, data::Rgb{0.5F, 0.5F, 0.5F}}) {
    const auto ours = differentiable_rgb_to_lab(torch::tensor({rgb[0], rgb[1], rgb[2]}));
    const auto expected = data::rgb_to_lab(rgb);
    for (int64_t i = 0; i < 3; ++i)
      EXPECT_NEAR(ours[i].item<float>(), expected[static_cast<size_t>(i)], 2e-3);
  }
}

TEST(ColorOfLoss, HasAFiniteGradientInAndBeyondTheGamut) {
  auto rgb = torch::linspace(-0.5, 1.5, 30).view({10, 3}).clone().requires_grad_(true);
  differentiable_rgb_to_lab(rgb).square().sum().backward();
  EXPECT_TRUE(rgb.grad().isfinite().all().item<bool>());
  EXPECT_TRUE((rgb.grad().abs().sum(1) > 0).all().item<bool>());
}

TEST(Objective, IsZeroForAPerfectPrediction) {
  const auto schedule = v_schedule();
  const Fixture fixture;
  LossOptions options;
  options.color.weight = 0.1;
  const Objective objective(options, {schedule, kIdentityMap});
  const auto& batch = fixture.batch;
  const auto z_t = schedule.add_noise(batch.z0, batch.noise, batch.timesteps);
  const auto perfect = schedule.training_target(batch.z0, batch.noise, batch.timesteps);
  const auto terms = terms_of(objective, batch, z_t, perfect, {100.0, 3.0});
  EXPECT_NEAR(terms.total.item<double>(), 0.0, 1e-6);
}

TEST(Objective, SumsToTheSameLossHoweverTheBatchIsCut) {
  const auto schedule = v_schedule();
  const Fixture fixture;
  LossOptions options;
  options.noise.outside = 0.3;
  options.color.weight = 0.1;
  const Objective objective(options, {schedule, kIdentityMap});
  const auto output = torch::randn({4, 3, 6, 5});
  const auto z_t =
      schedule.add_noise(fixture.batch.z0, fixture.batch.noise, fixture.batch.timesteps);
  const LossScale scale{50.0, 2.5};
  const auto whole = terms_of(objective, fixture.batch, z_t, output, scale).total.item<double>();
  double sum = 0;
  for (int64_t first = 0; first < 4; first += 2) {
    sum += terms_of(objective,
                    fixture.rows(first, 2),
                    z_t.narrow(0, first, 2),
                    output.narrow(0, first, 2),
                    scale)
               .total.item<double>();
  }
  EXPECT_NEAR(sum, whole, 1e-5 * std::abs(whole));
}

TEST(Objective, CountsColorOnlyWhereItIsAsked) {
  const auto schedule = v_schedule();
  LossOptions options;
  options.color.weight = 0.1;
  options.color.start_step = 100;
  options.color.timestep_low = 300;
  options.color.timestep_high = 700;
  const Objective objective(options, {schedule, kIdentityMap});
  StreamSample sample;
  sample.timestep = 500;
  EXPECT_TRUE(objective.counts_color(sample, 100));
  EXPECT_FALSE(objective.counts_color(sample, 99));
  sample.timestep = 299;
  EXPECT_FALSE(objective.counts_color(sample, 100));
  sample.timestep = 700;
  EXPECT_FALSE(objective.counts_color(sample, 100));
  sample.timestep = 500;
  sample.drop_reference = true;
  EXPECT_FALSE(objective.counts_color(sample, 100));
}

TEST(Objective, PullsTheRegionTowardsTheAskedColor) {
  const auto schedule = v_schedule();
  const Fixture fixture;
  LossOptions options;
  options.color.weight = 1.0;
  options.color.anchor = "reference";
  const Objective objective(options, {schedule, kIdentityMap});
  auto output =
      schedule.training_target(fixture.batch.z0, fixture.batch.noise, fixture.batch.timesteps)
          .clone();
  output.requires_grad_(true);
  const auto z_t =
      schedule.add_noise(fixture.batch.z0, fixture.batch.noise, fixture.batch.timesteps);
  const auto terms = terms_of(objective, fixture.batch, z_t, output, {100.0, 3.0});
  EXPECT_GT(terms.value("color").item<double>(), 0.1);  // asked for black
  terms.total.backward();
  EXPECT_EQ(output.grad()[3].abs().max().item<double>(), 0.0)
      << "a sample without core has no colour loss";
  torch::NoGradGuard no_grad;
  const auto better =
      terms_of(objective, fixture.batch, z_t, output - 0.01 * output.grad(), {100.0, 3.0});
  EXPECT_LT(better.value("color").item<double>(), terms.value("color").item<double>());
}

}  // namespace
}  // namespace limewash::trainer
