#pragma once
// How much arithmetic a training step takes, for the share of a machine's peak that it reaches.

#include "models/memory_estimate.h"
#include "models/unet.h"

namespace limewash::models {

/// Floating-point operations (a multiply-add is two) of one step over `shape.batch` samples:
/// matrix products, convolutions and attention of the UNet, forward and backward to its inputs, and
/// those of a LoRA on to_q, to_k, to_v and to_out.0 with the gradients of its weights. The
/// projection of the reference and everything elementwise are left out, as is what gradient
/// checkpointing computes twice.
double training_step_flops(const UNetConfig& config, const TrainingStepShape& shape);

}  // namespace limewash::models
