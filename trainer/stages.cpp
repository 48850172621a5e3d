#include "trainer/stages.h"

#include <utility>

#include <torch/torch.h>

#include "runtime/error.h"
#include "trainer/learning_rate.h"

namespace limewash::trainer {

namespace {

std::vector<models::NamedParameter> unet_parameters(const models::UNet2DConditionModel& unet) {
  std::vector<models::NamedParameter> parameters;
  for (const auto& item : unet->named_parameters())
    parameters.push_back({item.key(), item.value()});
  return parameters;
}

/// All there are, in order; some may have no parameters.
std::vector<TrainedPart> all_parts(models::Adapter& adapter,
                                   const models::UNet2DConditionModel& unet) {
  return {{"lora", adapter.lora_parameters()},
          {"ip_adapter", adapter.ip_adapter_parameters()},
          {"unet", unet ? unet_parameters(unet) : std::vector<models::NamedParameter>()}};
}

}  // namespace

int64_t Stage::end() const {
  return first_step + steps;
}

std::vector<Stage> stages_of(const TrainingOptions& training, const OptimizerOptions& optimizer) {
  if (training.stages.empty()) return {{training.stage, 0, training.steps, optimizer}};
  std::vector<Stage> stages;
  for (const StageOptions& listed : training.stages) {
    Stage stage{listed.stage, stages.empty() ? 0 : stages.back().end(), listed.steps, optimizer};
    if (listed.learning_rate > 0) {
      stage.optimizer.learning_rate = listed.learning_rate;
      stage.optimizer.part_learning_rates.clear();
    }
    if (listed.schedule != kSameSchedule) stage.optimizer.schedule = listed.schedule;
    if (listed.warmup_steps >= 0) stage.optimizer.warmup_steps = listed.warmup_steps;
    stages.push_back(std::move(stage));
  }
  return stages;
}

size_t stage_after(const std::vector<Stage>& stages, int64_t steps_done) {
  size_t place = 0;
  while (place + 1 < stages.size() && steps_done >= stages[place].end()) ++place;
  return place;
}

bool trains(const std::string& stage, const std::string& part) {
  if (stage == "full") return true;
  if (part == "unet") return false;
  return stage == "joint" || stage == part;
}

std::vector<TrainedPart> parts_of(models::Adapter& adapter,
                                  const models::UNet2DConditionModel& unet,
                                  const std::string& stage) {
  auto parts = all_parts(adapter, unet);
  std::erase_if(parts, [&](const TrainedPart& part) {
    return part.parameters.empty() || !trains(stage, part.name);
  });
  if (!parts.empty()) return parts;
  throw ConfigError("training.stage = " + stage +
                    ": nothing to train; see adapter.lora.rank and adapter.ip_adapter.kind");
}

std::vector<TrainedPart> trained_parts(models::Adapter& adapter,
                                       const models::UNet2DConditionModel& unet,
                                       const std::string& stage) {
  for (auto& part : all_parts(adapter, unet)) {
    for (auto& parameter : part.parameters) {
      parameter.tensor.mutable_grad() = at::Tensor();
      parameter.tensor.set_requires_grad(trains(stage, part.name));
    }
  }
  return parts_of(adapter, unet, stage);
}

std::vector<models::NamedParameter> trained_parameters(models::Adapter& adapter,
                                                       const std::string& stage) {
  return all_parameters(trained_parts(adapter, models::UNet2DConditionModel(nullptr), stage));
}

std::vector<models::NamedParameter> all_parameters(const std::vector<TrainedPart>& parts) {
  std::vector<models::NamedParameter> all;
  for (const auto& part : parts)
    all.insert(all.end(), part.parameters.begin(), part.parameters.end());
  return all;
}

std::vector<double> learning_rates(const Stage& stage,
                                   const std::vector<TrainedPart>& parts,
                                   int64_t step) {
  std::vector<double> rates;
  for (const auto& part : parts) {
    OptimizerOptions options = stage.optimizer;
    for (const auto& [name, rate] : stage.optimizer.part_learning_rates)
      if (name == part.name) options.learning_rate = rate;
    rates.push_back(learning_rate_at(options, step - stage.first_step, stage.steps));
  }
  return rates;
}

}  // namespace limewash::trainer
