#pragma once
// What the networks of a command compute on.

#include <ATen/core/Tensor.h>

#include "launcher/config.h"

namespace limewash::launcher {

/// `run.device` for this process: the CPU, or the GPU that its communicator made the current one
/// (run_on_ranks with rank_device(config.run.device)).
at::Device compute_device(const Config& config);

}  // namespace limewash::launcher
