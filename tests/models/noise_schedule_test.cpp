#include "models/noise_schedule.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include "runtime/error.h"
#include "runtime/files.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

class NoiseScheduleTest : public ::testing::TestWithParam<const char*> {
 protected:
  std::string folder = std::string("schedules/") + GetParam();
  NoiseSchedule schedule{
      NoiseScheduleConfig::from_json(golden_path(folder + "/scheduler_config.json"))};
  TensorMap expected = golden(folder + "/expected");
};

// A running product of 1000 factors in float32: processors differ by a few roundings of 6e-8.
TEST_P(NoiseScheduleTest, TablesEqualDiffusers) {
  EXPECT_LE((schedule.alphas_cumprod() - expected.at("alphas_cumprod")).abs().max().item<double>(),
            1e-6);
}

TEST_P(NoiseScheduleTest, NoisesAndTargetsEqualDiffusers) {
  const auto& z0 = expected.at("z0");
  const auto& noise = expected.at("noise");
  const auto& timesteps = expected.at("timesteps");
  expect_close(schedule.add_noise(z0, noise, timesteps), expected.at("noisy"), 1e-6);
  const bool v = schedule.config().prediction_type == PredictionType::kVPrediction;
  expect_close(
      schedule.training_target(z0, noise, timesteps), v ? expected.at("velocity") : noise, 1e-6);
}

TEST_P(NoiseScheduleTest, PredictionsInvertTheTarget) {
  const auto& z0 = expected.at("z0");
  const auto& noise = expected.at("noise");
  const auto& timesteps = expected.at("timesteps");
  const at::Tensor z_t = schedule.add_noise(z0, noise, timesteps);
  const at::Tensor target = schedule.training_target(z0, noise, timesteps);
  // Dividing by the signal at t = 999 costs the epsilon prediction two digits.
  expect_close(schedule.predict_z0(z_t, target, timesteps), z0, 1e-4);
  expect_close(schedule.predict_noise(z_t, target, timesteps), noise, 1e-5);
}

TEST_P(NoiseScheduleTest, TimestepsEqualDiffusersAtEveryNumberOfSteps) {
  int compared = 0;
  for (const auto& [name, tensor] : expected) {
    if (!name.starts_with("steps_")) continue;
    const auto timesteps = schedule.inference_timesteps(std::stoll(name.substr(6)));
    EXPECT_TRUE(at::equal(at::tensor(timesteps, at::kLong), tensor)) << name;
    ++compared;
  }
  EXPECT_GE(compared, 6);
}

INSTANTIATE_TEST_SUITE_P(Files,
                         NoiseScheduleTest,
                         ::testing::Values("scaled_linear_leading",
                                           "linear_trailing_v",
                                           "zero_snr_linspace_v"),
                         [](const auto& file) { return std::string(file.param); });

TEST(NoiseSchedule, StaysFiniteWhereNoSignalIsLeft) {
  NoiseScheduleConfig config;
  config.rescale_betas_zero_snr = true;
  const NoiseSchedule schedule(config);
  EXPECT_EQ(schedule.alphas_cumprod()[-1].item<float>(), 0);
  const at::Tensor z_t = at::ones({1, 4, 2, 2}), output = at::full({1, 4, 2, 2}, 0.5);
  const at::Tensor last = at::full({1}, 999, at::kLong);
  EXPECT_TRUE(at::isfinite(schedule.predict_z0(z_t, output, last)).all().item<bool>());

  config.prediction_type = PredictionType::kVPrediction;
  const NoiseSchedule v(config);
  EXPECT_TRUE(at::equal(v.predict_z0(z_t, output, last), -output));
  EXPECT_TRUE(at::equal(v.predict_noise(z_t, output, last), z_t));
}

TEST(NoiseSchedule, NeverLeavesItsTable) {
  const NoiseSchedule schedule(NoiseScheduleConfig{});
  for (const int64_t timestep : schedule.inference_timesteps(1000)) {
    EXPECT_GE(timestep, 0);
    EXPECT_LT(timestep, 1000);
  }
  EXPECT_THROW(schedule.inference_timesteps(1001), c10::Error);
  EXPECT_THROW(
      schedule.add_noise(
          at::zeros({1, 1, 1, 1}), at::zeros({1, 1, 1, 1}), at::full({1}, 1000, at::kLong)),
      c10::Error);
}

TEST(NoiseSchedule, RefusesWhatItDoesNotCompute) {
  TemporaryFolder folder;
  const auto path = folder.path() / "scheduler_config.json";
  const auto attempt = [&](const std::string& text) {
    write_file_atomically(path, text);
    return message_of<InputError>([&] { NoiseScheduleConfig::from_json(path); });
  };
  using ::testing::AllOf;
  using ::testing::HasSubstr;
  EXPECT_THAT(
      attempt(R"({"prediction_type": "sample"})"),
      AllOf(HasSubstr("scheduler_config.json"), HasSubstr("prediction_type is \"sample\"")));
  EXPECT_THAT(attempt(R"({"beta_schedule": "squaredcos_cap_v2"})"), HasSubstr("beta_schedule"));
  EXPECT_THAT(attempt(R"({"trained_betas": [0.1]})"), HasSubstr("trained_betas"));
  EXPECT_THAT(attempt(R"({"_class_name": "FlowMatchEulerDiscreteScheduler"})"),
              HasSubstr("_class_name"));
}

}  // namespace
}  // namespace limewash::models
