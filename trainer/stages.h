#pragma once
// What a run trains and when: one stage, or several one after the other.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "models/adapter.h"
#include "models/unet.h"
#include "trainer/options.h"

namespace limewash::trainer {

/// A stretch of a run's steps in which one set of weights learns.
struct Stage {
  std::string name;            ///< lora | ip_adapter | joint | full
  int64_t first_step = 0;      ///< steps of the run before it
  int64_t steps = 0;           ///< its own: what its schedule sees
  OptimizerOptions optimizer;  ///< with the stage's own learning rate, schedule and warm-up
  int64_t end() const;
};

/// The stages that `training` lists, or the one that it names.
std::vector<Stage> stages_of(const TrainingOptions& training, const OptimizerOptions& optimizer);

/// The place of the stage that makes the step after `steps_done`; the last one at the end.
size_t stage_after(const std::vector<Stage>& stages, int64_t steps_done);

/// Whether a stage trains that part: lora, ip_adapter, unet.
bool trains(const std::string& stage, const std::string& part);

/// The weights of one part.
struct TrainedPart {
  std::string name;  ///< lora | ip_adapter | unet
  std::vector<models::NamedParameter> parameters;
};

/// The parts that `stage` trains, LoRA first, the UNet's own weights last. Throws ConfigError when
/// there is nothing to train.
std::vector<TrainedPart> parts_of(models::Adapter& adapter,
                                  const models::UNet2DConditionModel& unet,
                                  const std::string& stage);

/// The same; they require gradients afterwards, and all others do not.
std::vector<TrainedPart> trained_parts(models::Adapter& adapter,
                                       const models::UNet2DConditionModel& unet,
                                       const std::string& stage);

/// The weights that a stage of an adapter (lora, ip_adapter, joint) trains, LoRA first.
std::vector<models::NamedParameter> trained_parameters(models::Adapter& adapter,
                                                       const std::string& stage);

/// All parts in a row.
std::vector<models::NamedParameter> all_parameters(const std::vector<TrainedPart>& parts);

/// Each part's learning rate at the run's step `step` (from 0), in the order of `parts`.
std::vector<double> learning_rates(const Stage& stage,
                                   const std::vector<TrainedPart>& parts,
                                   int64_t step);

}  // namespace limewash::trainer
