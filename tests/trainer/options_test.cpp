#include "trainer/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/error.h"

namespace limewash::trainer {
namespace {

template <class Options>
Options read(const std::string& yaml) {
  Options options;
  config::Document::parse(yaml, "test.yaml", {}).read_into(options);
  return options;
}

TEST(TrainingOptions, RefuseAMicroBatchThatDoesNotDivide) {
  EXPECT_THROW(read<TrainingOptions>("global_batch: 16\nmicro_batch: 5\n"), ConfigError);
  EXPECT_EQ(read<TrainingOptions>("global_batch: 16\nmicro_batch: 4\n").micro_batch, 4);
}

TEST(LossOptions, RefuseAnEmptyTimestepRangeAndNoLossAtAll) {
  EXPECT_THROW(read<LossOptions>("color: {timestep_low: 500, timestep_high: 500}\n"), ConfigError);
  EXPECT_THROW(read<LossOptions>("noise: {inside: 0, outside: 0}\n"), ConfigError);
}

TEST(LossOptions, NameTheKeyThatIsWrong) {
  const auto message = [](const std::string& yaml) -> std::string {
    try {
      read<LossOptions>(yaml);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"noise: {kind: l1}", "noise.kind"},
      {"noise: {min_snr_gamma: -1}", "noise.min_snr_gamma"},
      {"color: {path: pixels}", "color.path"},
      {"perceptual: {lpips: {weight: 1}}", "loss.perceptual.lpips.weights"},
      {"perceptual: {multi_scale: {timestep_low: 900, timestep_high: 100}}",
       "loss.perceptual.multi_scale.timestep_low"},
      {"adversarial: {timestep_low: 7, timestep_high: 7}", "loss.adversarial.timestep_low"},
      {"adversarial: {num_halvings: 9}", "adversarial.num_halvings"},
      {"decoder: /nowhere", "loss.decoder"},
      {"crop: 0", "crop"},
  };
  for (const auto& [yaml, key] : cases) EXPECT_THAT(message(yaml), testing::HasSubstr(key)) << yaml;
}

TEST(LossOptions, LeaveEverythingButTheNoiseLossOff) {
  const LossOptions options;
  EXPECT_FALSE(options.decodes());
  EXPECT_EQ(options.color.weight, 0);
  EXPECT_FALSE(options.adversarial.on());
  EXPECT_EQ(options.noise.kind, "mse");
  EXPECT_EQ(options.noise.min_snr_gamma, 0);
  EXPECT_EQ(options.noise.offset_noise, 0);
}

TEST(OptimizerOptions, SurviveWritingAndReading) {
  OptimizerOptions options;
  options.learning_rate = 3.3e-5;
  options.schedule = "cosine";
  const auto again = read<OptimizerOptions>(config::to_yaml(options));
  EXPECT_EQ(again.learning_rate, options.learning_rate);
  EXPECT_EQ(again.schedule, "cosine");
}

}  // namespace
}  // namespace limewash::trainer
