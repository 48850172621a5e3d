#pragma once
// One rank of a training: builds the parts that the trainer needs, and runs it.

#include <filesystem>

#include "launcher/config.h"
#include "launcher/rank_session.h"

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

/// In the run folder: touched while ranks do something.
inline constexpr const char* kHeartbeatName = ".alive";
/// In the run folder: what each rank of a launch printed.
inline constexpr const char* kLogsName = "logs";

/// The folder of this configuration's run.
std::filesystem::path run_folder_of(const Config& config);

/// Throws InputError when a process is at the run.
void refuse_busy_run(const Config& config);

/// Delete what an earlier run left in its folder. Throws InputError when a process is at it.
void overwrite_run(const Config& config);

/// Train on this rank to the end, or to a stop. Returns kExitDone or kExitStopped. Evaluators,
/// where there are some, may look into RUN/queue once it has met them in `ranks.all`.
int run_training_job(const Config& config, Begin begin, const RankGroup& ranks);

}  // namespace limewash::launcher
