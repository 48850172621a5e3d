#include "inference/ddim.h"

#include <fstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/adapter.h"
#include "models/base_model.h"
#include "runtime/stop_signal.h"

namespace limewash::inference {
namespace {

using models::NoiseSchedule;
using models::NoiseScheduleConfig;
using models::PredictionType;

NoiseSchedule v_schedule() {
  NoiseScheduleConfig config;
  config.prediction_type = PredictionType::kVPrediction;
  return NoiseSchedule(config);
}

/// The made-up network of tests/golden/make_ddim_golden.py.
at::Tensor network(const at::Tensor& z, int64_t timestep) {
  return torch::tanh(0.7 * z + static_cast<double>(timestep) / 1000 - 0.5);
}

TEST(Ddim, AgreesWithDiffusersForEverySpacingAndPrediction) {
  std::ifstream file(LIMEWASH_SOURCE_DIR "/tests/golden/ddim.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  const at::Tensor noise =
      torch::tensor(golden.at("noise").get<std::vector<float>>()).view({2, 1, 2, 3});
  ASSERT_EQ(golden.at("cases").size(), 4u);
  for (const nlohmann::json& item : golden.at("cases")) {
    NoiseScheduleConfig config;
    config.prediction_type = item.at("prediction_type") == "epsilon" ? PredictionType::kEpsilon
                                                                     : PredictionType::kVPrediction;
    config.timestep_spacing = item.at("timestep_spacing");
    config.set_alpha_to_one = item.at("set_alpha_to_one");
    config.rescale_betas_zero_snr = item.value("rescale_betas_zero_snr", false);
    const at::Tensor z0 = run_ddim(network, NoiseSchedule(config), item.at("steps"), noise);
    const at::Tensor expected =
        torch::tensor(item.at("z0").get<std::vector<float>>()).view({2, 1, 2, 3});
    const double scale = expected.abs().max().item<double>();
    EXPECT_LT((z0 - expected).abs().max().item<double>(), 2e-5 * scale) << item.dump();
  }
}

TEST(Ddim, ANetworkThatKnowsThePictureLeadsToIt) {
  NoiseScheduleConfig config;
  config.prediction_type = PredictionType::kVPrediction;
  config.rescale_betas_zero_snr = true;
  config.timestep_spacing = "trailing";
  config.set_alpha_to_one = true;
  const NoiseSchedule schedule(config);
  const at::Tensor picture = torch::tensor({0.5f, -1.0f, 2.0f, 0.0f}).view({1, 1, 2, 2});
  const at::Tensor noise = torch::tensor({1.0f, 2.0f, -0.3f, 0.1f}).view({1, 1, 2, 2});
  const Denoiser oracle = [&](const at::Tensor& z, int64_t timestep) {
    return schedule.training_target(
        picture, noise, torch::full({z.size(0)}, timestep, torch::kLong));
  };
  EXPECT_LT((run_ddim(oracle, schedule, 20, noise) - picture).abs().max().item<double>(), 1e-4);
}

TEST(Ddim, RefusesNoisePredictionWhereNoSignalIsLeft) {
  NoiseScheduleConfig config;
  config.rescale_betas_zero_snr = true;
  config.timestep_spacing = "trailing";
  EXPECT_THROW(
      {
        const NoiseSchedule schedule(config);
        run_ddim(network, schedule, 4, torch::zeros({1, 1, 2, 2}));
      },
      std::exception);
}

TEST(Ddim, StopsBetweenStepsWhenAsked) {
  int64_t calls = 0;
  const Denoiser denoiser = [&](const at::Tensor& z, int64_t) {
    if (++calls == 3) request_stop();
    return z;
  };
  const at::Tensor z0 = run_ddim(denoiser, v_schedule(), 10, torch::ones({1, 1, 2, 2}));
  request_stop(false);
  EXPECT_FALSE(z0.defined());
  EXPECT_EQ(calls, 3);
}

class Guidance : public ::testing::Test {
 protected:
  void SetUp() override {
    unet_ = models::load_unet(LIMEWASH_SOURCE_DIR "/models/limewash-tiny/unet");
    const auto& config = unet_->config();
    torch::manual_seed(3);
    condition_.noise = torch::randn({2, config.out_channels, 8, 8});
    condition_.mask = torch::ones({2, 1, 8, 8});
    condition_.hole_latents = torch::randn_like(condition_.noise);
    condition_.text = torch::randn({1, 5, config.cross_attention_dim[0]});
    adapter_ = std::make_unique<models::Adapter>(unet_, options(), 8, 1);
    condition_.reference = adapter_->project_reference(torch::randn({2, 8}));
    condition_.dropped_reference = adapter_->project_reference(torch::zeros({1, 8}));
  }

  static models::AdapterOptions options() {
    models::AdapterOptions result;
    result.lora.rank = 0;
    return result;
  }

  at::Tensor paint(double guidance, int64_t steps = 1) {
    return sample_ddim(unet_, v_schedule(), {steps, guidance}, condition_);
  }

  models::UNet2DConditionModel unet_{nullptr};
  std::unique_ptr<models::Adapter> adapter_;
  Condition condition_;
};

TEST_F(Guidance, OfOneIsTheReferenceAlone) {
  const at::Tensor plain = paint(1.0);
  condition_.dropped_reference = at::Tensor();
  EXPECT_TRUE(torch::equal(plain, paint(1.0)));
}

TEST_F(Guidance, IsLinearInOneStepBetweenDroppedAndAsked) {
  const at::Tensor asked = paint(1.0), guided = paint(2.5);
  Condition dropped = condition_;
  dropped.reference = condition_.dropped_reference.expand_as(condition_.reference);
  const at::Tensor without = sample_ddim(unet_, v_schedule(), {1, 1.0}, dropped);
  const at::Tensor expected = without + 2.5 * (asked - without);
  EXPECT_GT((asked - without).abs().max().item<double>(), 1e-3);
  EXPECT_LT((guided - expected).abs().max().item<double>(), 1e-4);
}

TEST_F(Guidance, NeedsADroppedReference) {
  condition_.dropped_reference = at::Tensor();
  EXPECT_ANY_THROW(paint(2.0));
}

TEST_F(Guidance, OneOfABatchIsPaintedAsAlone) {
  const at::Tensor both = paint(2.0, 3);
  for (at::Tensor* tensor :
       {&condition_.noise, &condition_.mask, &condition_.hole_latents, &condition_.reference}) {
    *tensor = tensor->slice(0, 1, 2);
  }
  EXPECT_LT((paint(2.0, 3) - both.slice(0, 1, 2)).abs().max().item<double>(), 1e-4);
}

TEST_F(Guidance, ChecksTheShapesOfWhatItIsGiven) {
  condition_.mask = torch::ones({2, 1, 4, 4});
  EXPECT_ANY_THROW(paint(1.0));
}

}  // namespace
}  // namespace limewash::inference
