#include "trainer/pass_launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "runtime/files.h"
#include "tests/trainer/tiny_training.h"
#include "trainer/cuda_graph.h"
#include "trainer/trainer.h"

namespace limewash::trainer {
namespace {

/// Stands for a GPU's recorder: it calls again what it was shown, with all that was captured then,
/// so that whatever a pass takes from anywhere but its inputs is what it was at the recording.
class RecordedCalls final : public LaunchRecorder {
 public:
  explicit RecordedCalls(int64_t& replays) : replays_(&replays) {}

  std::unique_ptr<Recording> record(std::function<void()> work) override {
    struct Repetition final : Recording {
      Repetition(std::function<void()> again, int64_t* count)
          : work(std::move(again)), replays(count) {}
      void replay() override {
        ++*replays;
        work();
      }
      std::function<void()> work;
      int64_t* replays;
    };
    return std::make_unique<Repetition>(std::move(work), replays_);
  }

 private:
  int64_t* replays_;
};

class NothingCanBeRecorded final : public LaunchRecorder {
 public:
  std::unique_ptr<Recording> record(std::function<void()>) override {
    TORCH_CHECK(false, "operation not permitted when stream is capturing");
  }
};

PassInputs inputs_of(float value, int64_t rows = 2) {
  PassInputs inputs;
  auto& batch = inputs.batch;
  for (auto* tensor : {&batch.z0,
                       &batch.noise,
                       &batch.mask,
                       &batch.core,
                       &batch.hole_latents,
                       &batch.embeddings,
                       &batch.quality,
                       &batch.told,
                       &batch.asked_lab})
    *tensor = torch::full({rows}, value);
  batch.timesteps = torch::full({rows}, 5, torch::kLong);
  inputs.denominators = torch::full({6}, value + 1);
  return inputs;
}

TEST(PassLauncher, RecordsThePassAfterItsWarmUp) {
  int64_t replays = 0;
  PassLauncher launcher(at::kCPU, std::make_unique<RecordedCalls>(replays));
  std::vector<float> seen;
  std::vector<const void*> memory;
  for (int step = 0; step < 6; ++step) {
    launcher.run("a", inputs_of(static_cast<float>(step)), [&, step](const PassInputs& inputs) {
      seen.push_back(inputs.batch.z0[1].item<float>() + inputs.denominators[0].item<float>());
      seen.push_back(static_cast<float>(step));
      memory.push_back(inputs.batch.z0.const_data_ptr());
    });
    EXPECT_EQ(replays, step < PassLauncher::kWarmUp ? 0 : step - PassLauncher::kWarmUp + 1);
  }
  // The inputs are new in each pass, all else is as it was recorded.
  EXPECT_THAT(seen, testing::ElementsAre(1, 0, 3, 1, 5, 2, 7, 3, 9, 3, 11, 3));
  EXPECT_THAT(memory, testing::Each(memory.front()));
  EXPECT_EQ(launcher.recordings(), 1);
}

TEST(PassLauncher, KeepsKindsAndShapesApart) {
  int64_t replays = 0;
  PassLauncher launcher(at::kCPU, std::make_unique<RecordedCalls>(replays));
  const Pass nothing = [](const PassInputs&) {};
  for (int step = 0; step < 4; ++step) {
    launcher.run("a", inputs_of(0), nothing);
    launcher.run("b", inputs_of(0), nothing);
    launcher.run("a", inputs_of(0, 3), nothing);
  }
  EXPECT_EQ(launcher.recordings(), 3);
  EXPECT_EQ(replays, 3);
  launcher.forget();
  EXPECT_EQ(launcher.recordings(), 0);
  launcher.run("a", inputs_of(0), nothing);
  EXPECT_EQ(replays, 3) << "warms up again";
}

TEST(PassLauncher, LaunchesWhatCantBeRecorded) {
  PassLauncher launcher(at::kCPU, std::make_unique<NothingCanBeRecorded>());
  int64_t passes = 0;
  for (int step = 0; step < 6; ++step)
    launcher.run("a", inputs_of(0), [&](const PassInputs&) { ++passes; });
  EXPECT_EQ(passes, 6);
  EXPECT_FALSE(launcher.records());
}

TEST(PassLauncher, StopsRecordingWhereThereAreTooManyKinds) {
  int64_t replays = 0, passes = 0;
  PassLauncher launcher(at::kCPU, std::make_unique<RecordedCalls>(replays));
  for (size_t kind = 0; kind < PassLauncher::kMostKinds + 3; ++kind) {
    for (int step = 0; step < 4; ++step)
      launcher.run(std::to_string(kind), inputs_of(0), [&](const PassInputs&) { ++passes; });
  }
  EXPECT_EQ(launcher.recordings(), static_cast<int64_t>(PassLauncher::kMostKinds));
  EXPECT_EQ(passes, static_cast<int64_t>(PassLauncher::kMostKinds + 3) * 4);
}

TEST(CudaGraph, IsForGpusOnly) {
  EXPECT_EQ(make_cuda_graph_recorder(at::kCPU), nullptr);
  const OwnStream none(at::kCPU);
}

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
    std::string losses, log;
    at::Tensor weights;
    int64_t replays = 0;
  };

  Outcome train(const std::string& name, bool recorded, int64_t steps_behind) {
    Outcome outcome;
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
    if (recorded) parts.recorder_of_passes = std::make_unique<RecordedCalls>(outcome.replays);
    parts.steps_behind = steps_behind;
    Trainer trainer(options, std::move(parts));
    EXPECT_EQ(trainer.train(), TrainStatus::kFinished);
    outcome.losses = read_file(run / "losses.csv");
    std::vector<at::Tensor> flat;
    for (const auto& parameter : trained_parameters(*adapter, "joint"))
      flat.push_back(parameter.tensor.detach().flatten().clone());
    outcome.weights = torch::cat(flat);
    return outcome;
  }

  TrainerOptions options;
};

TEST_F(RecordedTrainingTest, GoesAsTheOneThatIsLaunchedKernelByKernel) {
  const auto plain = train("plain", false, 0);
  const auto recorded = train("recorded", true, 1);
  EXPECT_GT(recorded.replays, 10);
  EXPECT_EQ(recorded.losses, plain.losses);
  EXPECT_TRUE(torch::equal(recorded.weights, plain.weights));
  EXPECT_EQ(std::count(plain.losses.begin(), plain.losses.end(), '\n'), 25);
  for (const char* step : {"step-000010", "step-000020", "step-000024"}) {
    const auto state = std::filesystem::path("checkpoints") / step / "training_state.safetensors";
    EXPECT_EQ(read_file(folder / "recorded" / state), read_file(folder / "plain" / state)) << step;
  }
}

TEST_F(RecordedTrainingTest, IsNotRecordedWhereTheHostDrawsForEachSample) {
  adapter_options.lora.dropout = 0.1;
  EXPECT_EQ(train("dropout", true, 1).replays, 0);
  adapter_options.lora.dropout = 0;
  options.loss.color.path = "crop";
  options.loss.crop = 4;
  EXPECT_EQ(train("crop", true, 1).replays, 0);
}

}  // namespace
}  // namespace limewash::trainer
