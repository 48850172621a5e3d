#include "trainer/learning_rate.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/files.h"

namespace limewash::trainer {
namespace {

TEST(LearningRate, WarmsUpToTheWholeRate) {
  OptimizerOptions options;
  options.learning_rate = 1.0;
  options.warmup_steps = 10;
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 0, 110), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 9, 110), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate_at(options, 100, 110), 1.0);
}

// tests/golden/make_learning_rate_golden.py: the values of diffusers' get_scheduler.
TEST(LearningRate, FollowsDiffusersSchedules) {
  const auto cases =
      nlohmann::json::parse(read_file(LIMEWASH_SOURCE_DIR "/tests/golden/learning_rates.json"));
  ASSERT_GE(cases.size(), 6U);
  for (const auto& one : cases) {
    OptimizerOptions options;
    options.schedule = one.at("schedule").get<std::string>();
    options.learning_rate = one.at("learning_rate").get<double>();
    options.warmup_steps = one.at("warmup_steps").get<int64_t>();
    options.cycles = one.at("cycles").get<int64_t>();
    const auto total = one.at("total_steps").get<int64_t>();
    const auto rates = one.at("rates").get<std::vector<double>>();
    ASSERT_EQ(rates.size(), static_cast<size_t>(total) + 1);
    for (int64_t step = 0; step < total; ++step) {
      // diffusers' warm-up begins with a step at 0, ours with its second one.
      const auto place = static_cast<size_t>(step < options.warmup_steps ? step + 1 : step);
      EXPECT_NEAR(
          learning_rate_at(options, step, total), rates[place], 1e-12 * options.learning_rate)
          << one.at("name") << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace limewash::trainer
