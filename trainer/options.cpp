#include "trainer/options.h"

#include "runtime/error.h"

namespace limewash::trainer {

namespace {

constexpr int64_t kMostSteps = 100'000'000;

}  // namespace

void StageOptions::describe(config::Fields& fields) {
  auto schedules = kSchedules;
  schedules.insert(schedules.begin(), kSameSchedule);
  fields.choice("stage", stage, kStages, "which weights learn");
  fields.field("steps", steps, "optimizer steps of this stage", {1, kMostSteps});
  fields.field("learning_rate", learning_rate, "0: optimizer.learning_rate", {0.0, 10.0});
  fields.choice("schedule", schedule, schedules, "same: optimizer.schedule");
  fields.field("warmup_steps", warmup_steps, "-1: optimizer.warmup_steps", {-1, kMostSteps});
}

void ValidationLossOptions::describe(config::Fields& fields) {
  fields.field("every", every, "steps between validation losses; 0: never", {0, kMostSteps});
  fields.field("photos", photos, "photos of the validation set; 0: all", {0, 1'000'000});
  fields.field("bins", bins, "ranges of timesteps", {1, 100});
}

void TrainingOptions::describe(config::Fields& fields) {
  fields.choice("stage", stage, kStages, "which weights learn");
  fields.sections("stages", stages);
  fields.field("steps", steps, "optimizer steps", {1, kMostSteps});
  if (!stages.empty() && steps == kDefaultSteps) {
    steps = 0;
    for (const auto& one : stages) steps += one.steps;
  }
  fields.field(
      "stop_at", stop_at, "end this attempt after that step; 0: run to the end", {0, 100'000'000});
  fields.field("global_batch", global_batch, "samples a step, over all ranks", {1, 1'048'576});
  fields.field("micro_batch", micro_batch, "samples a forward pass", {1, 65'536});
  fields.field("gradient_checkpointing",
               gradient_checkpointing,
               "compute activations again in the backward pass: less memory, more time");
  fields.field("cuda_graph",
               cuda_graph,
               "on a GPU: launch forward and backward as one CUDA graph, where the loss allows");
  fields.field("drop_reference", drop_reference, "share of samples without reference", {0.0, 0.9});
  fields.section("validation", validation);
}

void TrainingOptions::validate() const {
  if (global_batch % micro_batch != 0) {
    throw ConfigError(
        "training.micro_batch = " + std::to_string(micro_batch) +
        ": expected a divisor of training.global_batch = " + std::to_string(global_batch));
  }
  int64_t of_stages = 0;
  for (const auto& one : stages) of_stages += one.steps;
  if (!stages.empty() && steps != of_stages) {
    throw ConfigError("training.steps = " + std::to_string(steps) + ": training.stages add up to " +
                      std::to_string(of_stages) + "; expected that, or no training.steps");
  }
}

void OptimizerOptions::describe(config::Fields& fields) {
  fields.field("learning_rate", learning_rate, "AdamW's step size", {0.0, 10.0});
  fields.field("part_learning_rates",
               part_learning_rates,
               "rates of lora, ip_adapter, unet in place of learning_rate",
               {0.0, 10.0});
  fields.choice("schedule", schedule, kSchedules, "after the warm-up");
  fields.field("cycles", cycles, "cosines of cosine_with_restarts", {1, 1'000'000});
  fields.field("warmup_steps", warmup_steps, "steps from 0 to the learning rate", {0, 100'000'000});
  fields.field("beta1", beta1, "decay of the first moment", {0.0, 0.999999});
  fields.field("beta2", beta2, "decay of the second moment", {0.0, 0.99999999});
  fields.field("weight_decay", weight_decay, "decoupled weight decay", {0.0, 10.0});
  fields.field("clip", clip, "largest norm of the gradient; 0: no clipping", {0.0, 1e9});
  fields.field("ema", ema, "decay of the averaged adapter; 0: none", {0.0, 0.999999});
  fields.section("spike_guard", spike_guard);
}

void OptimizerOptions::validate() const {
  for (const auto& [part, rate] : part_learning_rates) {
    if (part == "lora" || part == "ip_adapter" || part == "unet") continue;
    throw ConfigError("optimizer.part_learning_rates." + part +
                      ": no such part; expected lora, ip_adapter or unet");
  }
}

void CheckpointOptions::describe(config::Fields& fields) {
  fields.field("every",
               every,
               "steps between checkpoints; 0: only at the end and at stops",
               {0, 100'000'000});
  fields.field("keep_last", keep_last, "newest checkpoints that stay", {1, 1'000'000});
  fields.field("keep_best", keep_best, "keep the one with the best evaluation too");
}

void CheckpointOptions::validate() const {}

}  // namespace limewash::trainer
