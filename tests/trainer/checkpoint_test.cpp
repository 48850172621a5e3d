#include "trainer/checkpoint.h"

#include <fstream>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "models/adapter.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::trainer {
namespace {

class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ("limewash-checkpoint-" + std::to_string(getpid()) +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
  }
  static TrainingState state_at(int64_t step) {
    TrainingState state;
    state.step = step;
    state.updates = step - 1;
    state.seconds = 1.5;
    state.values = torch::arange(5, torch::kFloat) + static_cast<double>(step);
    state.exp_avg = state.values * 0.1;
    state.exp_avg_sq = state.values * 0.01;
    state.extra = {{"other.values", state.values * 3}, {"other.updates", torch::full({1}, step)}};
    state.identity = {"data", "base", "a:[5]\n", "rank: 4\nseed: 1\n"};
    return state;
  }
  void write(int64_t step) {
    write_checkpoint(folder_, state_at(step), "run: {}\n", [](const std::filesystem::path& target) {
      write_file_atomically(target / "adapter.bin", "adapter");
    });
  }
  std::filesystem::path folder_;
};

TEST_F(CheckpointTest, GivesBackWhatWasWritten) {
  write(7);
  const auto read = read_checkpoint(folder_, 7, state_at(7).identity);
  EXPECT_EQ(read.step, 7);
  EXPECT_EQ(read.updates, 6);
  EXPECT_TRUE(torch::equal(read.values, state_at(7).values));
  EXPECT_TRUE(torch::equal(read.exp_avg_sq, state_at(7).exp_avg_sq));
  EXPECT_FALSE(read.ema.defined());
  EXPECT_TRUE(torch::equal(read.extra.at("other.values"), state_at(7).values * 3));
  EXPECT_EQ(read.extra.at("other.updates").item<int64_t>(), 7);
  EXPECT_EQ(read_file(checkpoint_path(folder_, 7) / "adapter.bin"), "adapter");
}

TEST_F(CheckpointTest, CountsOnlyWhatIsDone) {
  write(5);
  write(10);
  std::filesystem::remove(checkpoint_path(folder_, 10) / "DONE");
  EXPECT_EQ(complete_checkpoints(folder_), std::vector<int64_t>{5});
  write(10);  // what a killed writer left is replaced
  EXPECT_EQ(complete_checkpoints(folder_), (std::vector<int64_t>{5, 10}));
}

TEST_F(CheckpointTest, KeepsTheLastAndTheBest) {
  for (const int64_t step : {1, 2, 3, 4, 5}) write(step);
  prune_checkpoints(folder_, 2, {1});
  EXPECT_EQ(complete_checkpoints(folder_), (std::vector<int64_t>{1, 4, 5}));
}

TEST_F(CheckpointTest, RefusesAnotherRunAndSaysWhatDiffers) {
  write(3);
  auto other = state_at(3).identity;
  other.configuration = "rank: 8\nseed: 1\n";
  try {
    read_checkpoint(folder_, 3, other);
    FAIL() << "expected a ConfigError";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("rank: 4 in the checkpoint, 8 now"), std::string::npos)
        << error.what();
  }
}

TEST_F(CheckpointTest, GivesBackWhatStandsBesideTheFlatState) {
  auto state = state_at(4);
  state.stage = 2;
  state.recent_losses = {0.1, 1.0 / 3.0, 1e-300};
  state.loss_spikes = 5;
  state.extra["settled.a"] = torch::full({2, 2}, 0.25);
  write_checkpoint(folder_, state, "", [](const std::filesystem::path&) {});
  const auto read = read_checkpoint(folder_, 4, state.identity);
  EXPECT_EQ(read.stage, 2);
  EXPECT_EQ(read.recent_losses, state.recent_losses);
  EXPECT_EQ(read.loss_spikes, 5);
  ASSERT_EQ(read.extra.size(), 3U);
  EXPECT_TRUE(torch::equal(read.extra.at("settled.a"), torch::full({2, 2}, 0.25)));
}

TEST_F(CheckpointTest, AFailedWriteLeavesNothingBehindAndTheOneBeforeIntact) {
  write(5);
  EXPECT_THROW(
      write_checkpoint(folder_,
                       state_at(10),
                       "",
                       [](const std::filesystem::path&) { throw InputError("disk full"); }),
      InputError);
  EXPECT_EQ(complete_checkpoints(folder_), std::vector<int64_t>{5});
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(CheckpointTest, ARunFolderThatVanishesAmidTheWritingIsNotMadeAnew) {
  const auto run = folder_ / "run";
  std::filesystem::create_directories(run);
  EXPECT_ANY_THROW(write_checkpoint(
      run / "checkpoints", state_at(5), "run: {}\n", [&](const std::filesystem::path& target) {
        std::filesystem::rename(run, folder_ / "elsewhere");
        models::AdapterSnapshot().save(target, {});
      }));
  EXPECT_FALSE(std::filesystem::exists(run));
  EXPECT_TRUE(complete_checkpoints(folder_ / "elsewhere/checkpoints").empty());
}

TEST_F(CheckpointTest, DeletesWhatKilledWritersLeft) {
  write(5);
  write(10);
  std::filesystem::remove(checkpoint_path(folder_, 5) / "DONE");
  std::filesystem::create_directories(folder_ / "step-000015.partial");
  std::filesystem::create_directories(folder_ / "notes");
  prune_checkpoints(folder_, 3, {});
  EXPECT_FALSE(std::filesystem::exists(checkpoint_path(folder_, 5)));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "step-000015.partial"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "notes"));
  EXPECT_EQ(complete_checkpoints(folder_), std::vector<int64_t>{10});
}

TEST_F(CheckpointTest, TellsAllDifferencesAtOnce) {
  write(3);
  const auto message_of = [&](const RunIdentity& identity) -> std::string {
    try {
      read_checkpoint(folder_, 3, identity);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  auto other = state_at(3).identity;
  other.configuration = "rank: 8\nseed: 2\nnew: 7\n";
  other.defaults = "new: 7\n";
  other.dataset = "other";
  const auto message = message_of(other);
  for (const char* words : {"rank: 4 in the checkpoint, 8 now",
                            "seed: 1 in the checkpoint, 2 now",
                            "fingerprint data in the checkpoint, other now"})
    EXPECT_NE(message.find(words), std::string::npos) << message;
  EXPECT_EQ(message.find("new:"), std::string::npos) << "it is at its default: " << message;

  other = state_at(3).identity;
  other.layout = "a:[6]\n";
  EXPECT_NE(message_of(other).find("a:[5] in the checkpoint only, a:[6] now only"),
            std::string::npos)
      << message_of(other);
}

TEST_F(CheckpointTest, MoreStepsAtAConstantRateAreTheSameRun) {
  auto state = state_at(3);
  state.identity.configuration = "training: {steps: 10}\noptimizer: {schedule: constant}\n";
  write_checkpoint(folder_, state, "", [](const std::filesystem::path&) {});
  auto longer = state.identity;
  longer.configuration = "training: {steps: 30}\noptimizer: {schedule: constant}\n";
  EXPECT_EQ(read_checkpoint(folder_, 3, longer).step, 3);
  longer.configuration = "training: {steps: 30}\noptimizer: {schedule: cosine}\n";
  EXPECT_THROW(read_checkpoint(folder_, 3, longer), ConfigError);
}

TEST_F(CheckpointTest, NamesTheDamagedFile) {
  write(3);
  const auto path = checkpoint_path(folder_, 3) / "training_state.safetensors";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 3);
  try {
    read_checkpoint(folder_, 3, state_at(3).identity);
    FAIL() << "expected an InputError";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("training_state.safetensors"), std::string::npos)
        << error.what();
  }
  std::ofstream(checkpoint_path(folder_, 3) / "state.json") << "{\"format\": 1";
  EXPECT_THROW(read_checkpoint(folder_, 3, state_at(3).identity), InputError);
}

}  // namespace
}  // namespace limewash::trainer
