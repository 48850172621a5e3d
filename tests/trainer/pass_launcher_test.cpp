#include "trainer/pass_launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/trainer/recorded_calls.h"
#include "trainer/cuda_graph.h"

namespace limewash::trainer {
namespace {

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

TEST(CudaGraph, LeavesRoomForWhatRunsBesideIt) {
  constexpr int64_t kGib = int64_t{1} << 30;
  EXPECT_NO_THROW(check_room_for_graph(20 * kGib, 10 * kGib, /*shares_memory=*/false));
  EXPECT_THROW(check_room_for_graph(20 * kGib - 1, 10 * kGib, /*shares_memory=*/false), c10::Error);
  EXPECT_NO_THROW(check_room_for_graph(10 * kGib, 10 * kGib, /*shares_memory=*/true));
  EXPECT_THROW(check_room_for_graph(9 * kGib, 10 * kGib, /*shares_memory=*/true), c10::Error);
}

}  // namespace
}  // namespace limewash::trainer
