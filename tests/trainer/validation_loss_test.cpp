#include "trainer/validation_loss.h"

#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "runtime/error.h"
#include "tests/trainer/tiny_training.h"

namespace limewash::trainer {
namespace {

TEST(ValidationLoss, NamesItsBins) {
  EXPECT_THAT(bin_names(4, 1000),
              testing::ElementsAre("t000_250", "t250_500", "t500_750", "t750_1000"));
}

TEST(ValidationLog, HoldsEachStepOnceAndForgetsWhatIsBeyondAResume) {
  const data::TemporaryFolder folder;
  const auto path = folder / "validation_losses.csv";
  const std::vector<std::string> bins{"t000_500", "t500_1000"};
  {
    ValidationLog log(path, bins, 0);
    for (const int64_t step : {0, 10, 20}) log.append({step, 1.0 / 3.0, {0.25, 1e-17}});
    EXPECT_TRUE(log.has(20));
  }
  std::ofstream(path, std::ios::app) << "30,torn";
  ValidationLog log(path, bins, 15);
  EXPECT_TRUE(log.has(10));
  EXPECT_FALSE(log.has(20));
  log.append({20, 0.5, {0.5, 0.5}});
  const auto table = read_validation_losses(path);
  EXPECT_EQ(table.bins, bins);
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.rows[1].loss, 1.0 / 3.0);
  EXPECT_EQ(table.rows[1].bins[1], 1e-17);
  EXPECT_EQ(table.rows[2].loss, 0.5);
}

class ValidationLossTest : public TinyTraining {
 protected:
  ValidationLossTest() {
    loss.bins = 4;
    loss.photos = 0;
  }

  ValidationLosses measure(Communicator& communicator, int64_t batch, uint64_t seed = 7) {
    ValidationLoss validation(base, *dataset, *cache, communicator, loss, batch, seed);
    return validation.measure(*adapter, 30).value();
  }

  ValidationLossOptions loss;
};

TEST_F(ValidationLossTest, IsTheSameWheneverItIsMeasuredAndForAnyNumberOfRanks) {
  const auto expected = measure(*alone, 3);
  EXPECT_EQ(expected.step, 30);
  ASSERT_EQ(expected.bins.size(), 4U);
  double mean = 0;
  for (const double bin : expected.bins) {
    EXPECT_GT(bin, 0);
    mean += bin / 4;
  }
  EXPECT_NEAR(expected.loss, mean, 1e-12);
  const auto again = measure(*alone, 3);
  EXPECT_EQ(again.bins, expected.bins);
  const auto otherwise = measure(*alone, 1);
  for (size_t bin = 0; bin < 4; ++bin)
    EXPECT_NEAR(otherwise.bins[bin], expected.bins[bin], 1e-5 * expected.bins[bin]);
  EXPECT_NE(measure(*alone, 3, 8).bins, expected.bins) << "another seed draws otherwise";

  auto ranks = make_thread_communicators(2);
  std::vector<ValidationLosses> found(2);
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < 2; ++rank)
    threads.emplace_back([&, rank] { found[rank] = measure(*ranks[rank], 3); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(found[0].bins, found[1].bins);
  for (size_t bin = 0; bin < 4; ++bin)
    EXPECT_NEAR(found[0].bins[bin], expected.bins[bin], 1e-6 * expected.bins[bin]);
}

TEST_F(ValidationLossTest, RefusesMoreBinsThanTimesteps) {
  loss.bins = 5000;
  EXPECT_THROW(measure(*alone, 1), ConfigError);
}

}  // namespace
}  // namespace limewash::trainer
