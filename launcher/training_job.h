#pragma once
// One rank of a training: builds the parts that the trainer needs, and runs it.

#include "launcher/config.h"
#include "runtime/communicator.h"

namespace limewash::launcher {

/// How to begin in a run folder.
enum class Begin {
  kNew,        ///< the folder must be empty or absent
  kResume,     ///< go on from the newest checkpoint, or start when there is none
  kOverwrite,  ///< delete what an earlier run left
};

/// Throws ConfigError naming --resume and --overwrite when `begin` does not fit what is in the run
/// folder.
void check_run_folder(const Config& config, Begin begin);

/// Train on this rank to the end, or to a stop. Returns kExitDone or kExitStopped.
int run_training_job(const Config& config, Begin begin, Communicator& communicator);

}  // namespace limewash::launcher
