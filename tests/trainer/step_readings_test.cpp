#include "trainer/step_readings.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace limewash::trainer {
namespace {

TEST(StepReadings, AreThereAtOnceWhereNoneMayBeBehind) {
  StepReadings readings(0);
  auto tail = torch::tensor({1.0F, 2.5F});
  readings.begin({7, {}, 0.5, true}, tail, torch::tensor(3.0F));
  tail.zero_();
  const auto reading = readings.due();
  ASSERT_TRUE(reading.has_value());
  EXPECT_EQ(reading->step.number, 7);
  EXPECT_EQ(reading->step.learning_rate, 0.5);
  EXPECT_TRUE(reading->step.with_shares);
  EXPECT_TRUE(torch::equal(reading->tail, torch::tensor({1.0F, 2.5F}))) << "a copy of its own";
  EXPECT_EQ(reading->gradient_norm, 3.0);
  EXPECT_FALSE(readings.due().has_value());
}

TEST(StepReadings, ComeInOrderAndAllWhenAskedFor) {
  StepReadings readings(2);
  std::vector<int64_t> numbers;
  for (int64_t step = 0; step < 5; ++step) {
    readings.begin(
        {step, {}, 0, false}, torch::full({1}, static_cast<float>(step)), torch::zeros({}));
    while (const auto reading = readings.due()) numbers.push_back(reading->step.number);
  }
  EXPECT_EQ(numbers, (std::vector<int64_t>{0, 1, 2}));
  while (const auto reading = readings.oldest()) {
    EXPECT_EQ(reading->tail[0].item<float>(), static_cast<float>(reading->step.number));
    numbers.push_back(reading->step.number);
  }
  EXPECT_EQ(numbers, (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace limewash::trainer
