#include <algorithm>
#include <limits>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/stop_signal.h"
#include "tests/models/blind_device.h"
#include "tests/trainer/recorded_calls.h"
#include "tests/trainer/tiny_training.h"
#include "trainer/trainer.h"

namespace limewash::trainer {
namespace {

/// A whole training, of every term that can be recorded, with terms that start one after the other.
class RecordedTrainingTest : public TinyTraining {
 protected:
  RecordedTrainingTest() {
    options.training.steps = 24;
    options.training.global_batch = 4;
    options.training.micro_batch = 2;
    options.training.drop_reference = 0.3;
    options.optimizer.learning_rate = 1e-3;
    options.optimizer.ema = 0.9;
    options.optimizer.spike_guard = {"warn", 4, 2.0};
    options.checkpoint.every = 10;
    auto& loss = options.loss;
    loss.noise.inside = 2;
    loss.noise.min_snr_gamma = 5;
    loss.color.weight = 0.1;
    loss.color.start_step = 6;
    loss.color.timestep_low = 100;
    loss.color.timestep_high = 900;
    loss.color.timestep_weight = "alpha_bar";
    loss.perceptual.multi_scale.weight = 0.1;
    loss.perceptual.multi_scale.timestep_high = 500;
    loss.adversarial.wall = loss.adversarial.paint = 0.01;
    loss.adversarial.channels = 4;
    loss.adversarial.start_step = 3;
    loss.adversarial.warm_up_steps = 6;
    loss.adversarial.timestep_high = 600;
    loss.gradient_share_every = 4;
  }

  struct Outcome {
    TrainStatus status;
    std::string losses;
    at::Tensor weights;
  };

  /// Go on with the run of that name, or begin it.
  Outcome train(const std::string& name,
                std::unique_ptr<LaunchRecorder> recorder,
                int64_t steps_behind) {
    // The same start each time; the UNet has one adapter at a time.
    adapter.reset();
    adapter = std::make_unique<models::Adapter>(base.unet, adapter_options, 64, 1);
    const auto run = folder / name;
    std::filesystem::create_directories(run);
    TrainerParts parts{.base = base,
                       .adapter = *adapter,
                       .dataset = *dataset,
                       .cache = *cache,
                       .communicator = *alone,
                       .run_folder = run,
                       .config_yaml = "run: {}\n",
                       .identity_yaml = "seed: 1\n",
                       .default_identity_yaml = "seed: 1\n",
                       .unet_config = "{}"};
    parts.pass_recorder = std::move(recorder);
    parts.steps_behind = steps_behind;
    Trainer trainer(options, std::move(parts));
    trainer.resume();
    Outcome outcome{trainer.train(), read_file(run / "losses.csv"), {}};
    std::vector<at::Tensor> flat;
    for (const auto& parameter : trained_parameters(*adapter, "joint"))
      flat.push_back(parameter.tensor.detach().to(torch::kCPU).flatten().clone());
    outcome.weights = torch::cat(flat);
    return outcome;
  }

  Outcome train_plain(const std::string& name = "plain") {
    return train(name, nullptr, 0);
  }

  Outcome train_recorded(const std::string& name = "recorded") {
    return train(name, std::make_unique<RecordedCalls>(replays), 1);
  }

  static void expect_same(const Outcome& one, const Outcome& other) {
    EXPECT_EQ(one.status, TrainStatus::kFinished);
    EXPECT_EQ(other.status, TrainStatus::kFinished);
    EXPECT_EQ(one.losses, other.losses);
    EXPECT_TRUE(torch::equal(one.weights, other.weights));
  }

  /// The loss in the last row.
  static double last_loss(const Outcome& outcome) {
    const auto row = outcome.losses.rfind('\n', outcome.losses.size() - 2) + 1;
    return std::stod(outcome.losses.substr(outcome.losses.find(',', row) + 1));
  }

  static int64_t lines(const Outcome& outcome) {
    return std::count(outcome.losses.begin(), outcome.losses.end(), '\n');
  }

  TrainerOptions options;
  int64_t replays = 0;
};

TEST_F(RecordedTrainingTest, GoesAsTheOneThatIsLaunchedKernelByKernel) {
  const auto plain = train_plain(), recorded = train_recorded();
  expect_same(recorded, plain);
  EXPECT_GT(replays, 10);
  EXPECT_EQ(lines(plain), 25);
  for (const char* step : {"step-000010", "step-000020", "step-000024"}) {
    const auto state = std::filesystem::path("checkpoints") / step / "training_state.safetensors";
    EXPECT_EQ(read_file(folder / "recorded" / state), read_file(folder / "plain" / state)) << step;
  }
}

TEST_F(RecordedTrainingTest, RecordsAnewInEachStage) {
  options.training.stages = {{"lora", 10}, {"joint", 14}};
  const auto plain = train_plain();
  expect_same(train_recorded(), plain);
  EXPECT_GT(replays, 10);
}

TEST_F(RecordedTrainingTest, LeavesOutTheStepsThatTheGuardSkips) {
  options.optimizer.spike_guard.action = "skip";
  const auto plain = train_plain();
  expect_same(train_recorded(), plain);
}

TEST_F(RecordedTrainingTest, GoesOnWhereItWasStopped) {
  const auto plain = train_plain();
  options.training.stop_at = 13;
  const auto stopped = train_recorded();
  EXPECT_EQ(stopped.status, TrainStatus::kStopped);
  EXPECT_EQ(lines(stopped), 14);
  options.training.stop_at = 0;
  expect_same(train_recorded(), plain);
}

TEST_F(RecordedTrainingTest, EndsOneStepAfterTheOneThatAStopFalls) {
  const auto plain = train_plain();
  int64_t stopped_at = 0;
  const auto stopping = [&](const std::function<void()>& work) {
    work();
    if (replays < 12 || stopped_at > 0) return;
    request_stop();
    stopped_at = replays;
  };
  const auto stopped = train("recorded", std::make_unique<RecordedCalls>(replays, stopping), 1);
  request_stop(false);
  EXPECT_EQ(stopped.status, TrainStatus::kStopped);
  EXPECT_EQ(stopped_at, 12);
  // Two passes a step: those of the stop's own step and of one more.
  EXPECT_LE(replays - stopped_at, 3);
  EXPECT_LT(lines(stopped), 25);
  EXPECT_EQ(stopped.losses, plain.losses.substr(0, stopped.losses.size()));
  expect_same(train_recorded(), plain);
}

TEST_F(RecordedTrainingTest, EndsWhenNoGradientIsFinite) {
  options.loss.noise.inside = std::numeric_limits<double>::infinity();
  EXPECT_THROW(train_recorded(), InputError);
}

TEST_F(RecordedTrainingTest, IsNotRecordedWhereTheHostDrawsForEachSample) {
  options.training.steps = 6;
  adapter_options.lora.dropout = 0.1;
  train_recorded("dropout");
  adapter_options.lora.dropout = 0;
  options.loss.color.path = "crop";
  options.loss.crop = 4;
  train_recorded("crop");
  EXPECT_EQ(replays, 0);
}

TEST_F(RecordedTrainingTest, AsksADeviceForNothingButTheFiguresOfAStep) {
  options.checkpoint.every = 0;
  const auto on_cpu = train_plain();
  adapter.reset();
  models::move_to(base, blind_device());
  const auto train_there = [&](const std::string& name) {
    const auto begin = waits_for_blind_device();
    const auto outcome = train(name, std::make_unique<RecordedCalls>(replays, while_recorded), 1);
    EXPECT_EQ(outcome.status, TrainStatus::kFinished);
    return std::pair(outcome, waits_for_blind_device() - begin);
  };
  const auto there = train_there("there").first;
  EXPECT_GT(replays, 10);
  EXPECT_TRUE(torch::allclose(there.weights, on_cpu.weights, 1e-2, 1e-4));
  EXPECT_EQ(lines(there), 25);

  // Of each micro-batch ten tensors and the denominators go there; of each step one comes back.
  options.training.steps = 10;
  const auto shorter = train_there("shorter").second;
  options.training.steps = 20;
  EXPECT_EQ(train_there("longer").second - shorter, 10 * (2 * 11 + 1));
}

TEST_F(RecordedTrainingTest, ComputesInBf16OnADeviceAsOnTheCpu) {
  options.training.steps = 8;
  options.training.gradient_checkpointing = true;
  models::BaseOptions small;
  small.model = LIMEWASH_SOURCE_DIR "/models/limewash-tiny";
  adapter.reset();
  base = models::load_base_model(small, at::kBFloat16);
  const auto on_cpu = train_plain();
  adapter.reset();
  models::move_to(base, blind_device());
  const auto there = train("there", std::make_unique<RecordedCalls>(replays, while_recorded), 1);
  EXPECT_GT(replays, 0);
  EXPECT_NEAR(last_loss(there), last_loss(on_cpu), 0.02 * last_loss(on_cpu));
}

TEST_F(RecordedTrainingTest, DrawsAndDecodesForADeviceAsForTheCpu) {
  options.training.steps = 8;
  options.loss.color.path = "crop";
  options.loss.color.start_step = 0;
  options.loss.perceptual.multi_scale.on = "crop";
  options.loss.crop = 4;
  adapter_options.lora.dropout = 0.2;
  const auto on_cpu = train_plain();
  adapter.reset();
  models::move_to(base, blind_device());
  const auto there = train("there", nullptr, 1);
  EXPECT_NEAR(last_loss(there), last_loss(on_cpu), 1e-3 * last_loss(on_cpu));
  EXPECT_TRUE(torch::allclose(there.weights, on_cpu.weights, 1e-2, 1e-4));
}

}  // namespace
}  // namespace limewash::trainer
