#pragma once
// What a training run can be asked for; each struct is a section of the configuration.

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/config.h"
#include "trainer/loss_options.h"
#include "trainer/spike_guard.h"
#include "trainer/stage_options.h"

namespace limewash::trainer {

/// `training.validation`: the noise loss on the validation set by timestep.
struct ValidationLossOptions {
  int64_t every = 0;    ///< steps; 0: never
  int64_t photos = 16;  ///< evenly spread over the set; 0: all
  int64_t bins = 10;    ///< equal ranges of timesteps, each with one draw a photo
  void describe(config::Fields& fields);
};

inline constexpr int64_t kDefaultSteps = 1000;

/// `training`.
struct TrainingOptions {
  std::string stage = "joint";       ///< lora | ip_adapter | joint | full: which weights learn
  std::vector<StageOptions> stages;  ///< one after the other; empty: `stage` alone
  int64_t steps = kDefaultSteps;     ///< optimizer steps, of all stages together
  int64_t stop_at = 0;  ///< end this attempt after that step, with a checkpoint; 0: run to the end
  int64_t global_batch = 16;  ///< samples a step, over all ranks
  int64_t micro_batch = 8;    ///< samples a forward pass; divides global_batch
  /// Keep only the inputs of the UNet's layers and compute the rest again in the backward pass:
  /// less memory, about a third more time, the same gradients.
  bool gradient_checkpointing = false;
  /// On a GPU: record forward and backward as a CUDA graph and launch that, where the loss allows.
  bool cuda_graph = true;
  double drop_reference = 0.1;  ///< share of samples without their reference, for guidance
  ValidationLossOptions validation;
  void describe(config::Fields& fields);
  void validate() const;
};

/// `optimizer`: AdamW (Loshchilov, Hutter, 2019).
struct OptimizerOptions {
  double learning_rate = 1e-4;
  /// lora, ip_adapter, unet -> its own rate in place of learning_rate.
  config::Map<double> part_learning_rates;
  /// constant | cosine | linear | cosine_with_restarts, after the warm-up.
  std::string schedule = "constant";
  int64_t cycles = 1;  ///< of cosine_with_restarts
  int64_t warmup_steps = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double weight_decay = 0.01;
  double clip = 1.0;  ///< largest norm of the whole gradient; 0: no clipping
  double ema = 0.0;   ///< decay of the averaged adapter that is evaluated and exported; 0: none
  SpikeGuardOptions spike_guard;
  void describe(config::Fields& fields);
  void validate() const;
};

/// `checkpoint`.
struct CheckpointOptions {
  int64_t every = 500;    ///< steps; 0: only at the end and at stops
  int64_t keep_last = 3;  ///< newest checkpoints that stay
  bool keep_best = true;  ///< and the one with the best evaluation
  void describe(config::Fields& fields);
  void validate() const;
};

}  // namespace limewash::trainer
