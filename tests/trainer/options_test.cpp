#include "trainer/options.h"

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
