#pragma once
// What a training run can be asked for; each struct is a section of the configuration.

#include <cstdint>
#include <string>

#include "runtime/config.h"
#include "trainer/loss_options.h"

namespace limewash::trainer {

/// `training`.
struct TrainingOptions {
  std::string stage = "joint";  ///< lora | ip_adapter | joint: which adapter weights learn
  int64_t steps = 1000;         ///< optimizer steps; what the learning rate schedule sees
  int64_t stop_at = 0;  ///< end this attempt after that step, with a checkpoint; 0: run to the end
  int64_t global_batch = 16;  ///< samples a step, over all ranks
  int64_t micro_batch = 8;    ///< samples a forward pass; divides global_batch
  /// Keep only the inputs of the UNet's layers and compute the rest again in the backward pass:
  /// less memory, about a third more time, the same gradients.
  bool gradient_checkpointing = false;
  double drop_reference = 0.1;  ///< share of samples without their reference, for guidance
  void describe(config::Fields& fields);
  void validate() const;
};

/// `optimizer`: AdamW (Loshchilov, Hutter, 2019).
struct OptimizerOptions {
  double learning_rate = 1e-4;
  std::string schedule = "constant";  ///< constant | cosine | linear, after the warm-up
  int64_t warmup_steps = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double weight_decay = 0.01;
  double clip = 1.0;  ///< largest norm of the whole gradient; 0: no clipping
  double ema = 0.0;   ///< decay of the averaged adapter that is evaluated and exported; 0: none
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
