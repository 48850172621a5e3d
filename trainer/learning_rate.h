#pragma once
// Learning rate schedules.

#include <cstdint>

#include "trainer/options.h"

namespace limewash::trainer {

/// The learning rate of optimizer step `step` (from 0): linear warm-up, then constant, or cosine or
/// linear to 0 at `total_steps`, or `options.cycles` cosines each from the full rate to 0, as
/// diffusers' get_scheduler has them. The warm-up's first step is 1 / warmup_steps of the rate and
/// its last the whole, where diffusers begins with a step at 0.
double learning_rate_at(const OptimizerOptions& options, int64_t step, int64_t total_steps);

}  // namespace limewash::trainer
