#include "trainer/stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "runtime/error.h"

namespace limewash::trainer {
namespace {

using testing::ElementsAre;

TrainingOptions read(const std::string& yaml) {
  TrainingOptions options;
  config::Document::parse(yaml, "test.yaml", {}).read_into(options);
  return options;
}

std::string error_of(const std::string& yaml) {
  try {
    read(yaml);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

std::vector<std::string> names_of(const std::vector<TrainedPart>& parts) {
  std::vector<std::string> names;
  for (const auto& part : parts) names.push_back(part.name);
  return names;
}

TEST(Stages, OneIsTheWholeRun) {
  OptimizerOptions optimizer;
  optimizer.learning_rate = 3e-4;
  const auto stages = stages_of(read("{stage: lora, steps: 70}\n"), optimizer);
  ASSERT_EQ(stages.size(), 1U);
  EXPECT_EQ(stages[0].name, "lora");
  EXPECT_EQ(stages[0].end(), 70);
  EXPECT_EQ(stages[0].optimizer.learning_rate, 3e-4);
}

TEST(Stages, AListFollowsOneAfterTheOther) {
  OptimizerOptions optimizer;
  optimizer.schedule = "linear";
  optimizer.learning_rate = 1e-3;
  optimizer.part_learning_rates = {{"lora", 5e-4}};
  const auto training = read(
      "stages: [{stage: ip_adapter, steps: 10, learning_rate: 1.0e-5, warmup_steps: 0}, "
      "{stage: joint, steps: 20, schedule: constant}]\n");
  EXPECT_EQ(training.steps, 30);
  const auto stages = stages_of(training, optimizer);
  ASSERT_EQ(stages.size(), 2U);
  EXPECT_EQ(stages[1].first_step, 10);
  EXPECT_EQ(stage_after(stages, 0), 0U);
  EXPECT_EQ(stage_after(stages, 9), 0U);
  EXPECT_EQ(stage_after(stages, 10), 1U);
  EXPECT_EQ(stage_after(stages, 30), 1U);
  const std::vector<TrainedPart> ip{{"ip_adapter", {}}}, both{{"lora", {}}, {"ip_adapter", {}}};
  // Each schedule sees its own stage's steps.
  EXPECT_THAT(learning_rates(stages[0], ip, 5), ElementsAre(testing::DoubleEq(0.5e-5)));
  EXPECT_THAT(learning_rates(stages[1], both, 25), ElementsAre(5e-4, 1e-3));
}

TEST(Stages, AreWrittenAndReadAgain) {
  const auto training =
      read("stages: [{stage: lora, steps: 3}, {stage: full, steps: 4, learning_rate: 1.0e-6}]\n");
  const auto again = read(config::to_yaml(training));
  ASSERT_EQ(again.stages.size(), 2U);
  EXPECT_EQ(again.stages[1].stage, "full");
  EXPECT_EQ(again.stages[1].learning_rate, 1e-6);
  EXPECT_EQ(again.steps, 7);
  EXPECT_EQ(config::to_yaml(again), config::to_yaml(training));
  EXPECT_TRUE(read(config::to_yaml(read("stages: []\n"))).stages.empty());
}

TEST(Stages, AWrongListIsNamedWithItsPlace) {
  EXPECT_THAT(error_of("stages: [{stage: lora, steps: 3}, {stage: lara, steps: 3}]\n"),
              testing::HasSubstr("stages[1].stage = lara: expected one of lora, ip_adapter"));
  EXPECT_THAT(error_of("stages: [{stage: lora, step: 3}]\n"),
              testing::HasSubstr("stages[0].step: unknown key (did you mean stages[0].steps?)"));
  EXPECT_THAT(error_of("stages: [lora]\n"), testing::HasSubstr("stages[0]"));
  EXPECT_THAT(error_of("stages: lora\n"), testing::HasSubstr("expected a list of sections"));
  EXPECT_THAT(error_of("{steps: 50, stages: [{stage: lora, steps: 3}]}\n"),
              testing::HasSubstr("training.stages add up to 3"));
}

class StagePartsTest : public testing::Test {
 protected:
  StagePartsTest() : unet(models::load_unet(LIMEWASH_SOURCE_DIR "/models/limewash-tiny/unet")) {
    options.lora.rank = 2;
    adapter = std::make_unique<models::Adapter>(unet, options, 64, 1);
  }
  models::UNet2DConditionModel unet;
  models::AdapterOptions options;
  std::unique_ptr<models::Adapter> adapter;
};

TEST_F(StagePartsTest, TrainWhatTheyNameAndFreezeTheRest) {
  const auto lora = adapter->lora_parameters().front().tensor;
  const auto ip_adapter = adapter->ip_adapter_parameters().front().tensor;
  const auto weight = unet->parameters().front();
  const auto state = [&] {
    return std::vector<bool>{
        lora.requires_grad(), ip_adapter.requires_grad(), weight.requires_grad()};
  };
  EXPECT_THAT(names_of(trained_parts(*adapter, unet, "full")),
              ElementsAre("lora", "ip_adapter", "unet"));
  EXPECT_THAT(state(), ElementsAre(true, true, true));
  EXPECT_THAT(names_of(trained_parts(*adapter, unet, "lora")), ElementsAre("lora"));
  EXPECT_THAT(state(), ElementsAre(true, false, false));
  EXPECT_THAT(names_of(trained_parts(*adapter, unet, "ip_adapter")), ElementsAre("ip_adapter"));
  EXPECT_THAT(state(), ElementsAre(false, true, false));
  EXPECT_THAT(names_of(trained_parts(*adapter, unet, "joint")), ElementsAre("lora", "ip_adapter"));
  EXPECT_THAT(state(), ElementsAre(true, true, false));
  EXPECT_THAT(names_of(parts_of(*adapter, unet, "full")), testing::SizeIs(3));
  EXPECT_THAT(state(), ElementsAre(true, true, false)) << "asking changes nothing";
}

TEST_F(StagePartsTest, SayWhenThereIsNothingToTrain) {
  models::AdapterOptions none;
  none.lora.rank = 0;
  none.ip_adapter.kind = "none";
  models::Adapter empty(unet, none, 64, 1);
  EXPECT_THROW(trained_parts(empty, unet, "joint"), ConfigError);
  EXPECT_THAT(names_of(trained_parts(empty, unet, "full")), ElementsAre("unet"));
}

}  // namespace
}  // namespace limewash::trainer
