#include "trainer/evaluation_queue.h"

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "trainer/checkpoint.h"

namespace limewash::trainer {
namespace {

using Steps = std::vector<int64_t>;

class EvaluationQueueTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("limewash-queue-" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    trainer_.begin();
    trainer_.open(0);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
  }
  /// What complete_checkpoints takes for one.
  void write_checkpoint(int64_t step) {
    const auto folder = checkpoint_path(folder_ / "checkpoints", step);
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "DONE") << step;
  }
  void add(std::initializer_list<int64_t> steps) {
    for (const int64_t step : steps) trainer_.add({step, false});
  }
  /// What evaluators take that have done this much; -1 when nothing waits.
  int64_t next(int64_t done) {
    const auto entry = evaluators_.next(done);
    return entry ? entry->step : -1;
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("limewash-queue-" + std::to_string(::getpid()));
  EvaluationQueue trainer_{folder_}, evaluators_{folder_};
};

TEST_F(EvaluationQueueTest, TheFirstStepIsTakenAndThenTheNewest) {
  EXPECT_EQ(next(-1), -1);
  add({0, 10, 20, 30});
  EXPECT_EQ(next(-1), 0);
  evaluators_.mark_measured(0, nullptr);
  EXPECT_EQ(next(0), 30);
  evaluators_.mark_measured(30, nullptr);
  EXPECT_EQ(next(30), -1);
  add({40});
  EXPECT_EQ(next(30), 40);
}

TEST_F(EvaluationQueueTest, EvaluatorsThatBeginAgainPassOverWhatIsOlderThanAMeasuredStep) {
  add({10, 20, 30});
  evaluators_.mark_measured(20, nullptr);
  EXPECT_EQ(next(-1), 30);
  evaluators_.mark_measured(30, nullptr);
  EXPECT_EQ(next(-1), -1);
}

TEST_F(EvaluationQueueTest, FiguresThatAreTakenLeaveWithAllThatIsOlder) {
  add({10, 20, 30});
  evaluators_.mark_measured(20, nullptr);
  EXPECT_FALSE(trainer_.is_measured(10));
  EXPECT_TRUE(trainer_.is_measured(20));
  trainer_.settle(20);
  EXPECT_EQ(trainer_.steps(), Steps{30});
  EXPECT_FALSE(trainer_.is_measured(20));
}

TEST_F(EvaluationQueueTest, TheLastStepCarriesItsControls) {
  trainer_.add({50, true});
  EXPECT_TRUE(evaluators_.next(-1)->last);
  evaluators_.mark_measured(50, {{"floor", 2.5}});
  EXPECT_EQ(trainer_.controls(50), (nlohmann::json{{"floor", 2.5}}));
}

TEST_F(EvaluationQueueTest, AnAttemptForgetsHowAnEarlierOneEndedAndWhatComesAgain) {
  add({10, 20, 30});
  evaluators_.mark_measured(30, nullptr);
  evaluators_.ask_to_stop();
  trainer_.end();
  EXPECT_TRUE(evaluators_.has_ended());
  EXPECT_TRUE(trainer_.is_asked_to_stop());
  for (const int64_t step : {10, 20, 30}) write_checkpoint(step);
  trainer_.begin();
  trainer_.open(20);
  EXPECT_FALSE(evaluators_.has_ended());
  EXPECT_FALSE(trainer_.is_asked_to_stop());
  EXPECT_EQ(trainer_.steps(), (Steps{10, 20}));
  EXPECT_FALSE(trainer_.is_measured(30));
}

TEST_F(EvaluationQueueTest, AStepWhoseCheckpointIsGoneIsForgottenUnlessItIsMeasured) {
  add({0, 10, 20, 30});
  evaluators_.mark_measured(10, nullptr);
  write_checkpoint(30);
  trainer_.begin();
  trainer_.open(30);
  EXPECT_EQ(trainer_.steps(), (Steps{0, 10, 30}));
}

TEST_F(EvaluationQueueTest, OtherFilesAreNoSteps) {
  std::ofstream(folder_ / "queue/step-x.json") << "{}";
  std::ofstream(folder_ / "queue/step-000010.json.tmp1") << "{";
  std::ofstream(folder_ / "queue/note") << "";
  EXPECT_EQ(trainer_.steps(), Steps{});
}

}  // namespace
}  // namespace limewash::trainer
