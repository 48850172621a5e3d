#pragma once
// Where `launch` goes on after a failure.

#include <string>

#include "launcher/config.h"
#include "launcher/placement.h"

namespace limewash::launcher {

/// What the configuration asks for. Hosts are named only where it names them: mpirun finds those of
/// a Slurm job by itself.
Placement configured_placement(const Config& config);

/// What is left of it: without the hosts and GPUs that are gone, which it asks by starting
/// `program` there, twice before it believes in a loss. Where that leaves fewer trainers than
/// launch.min_trainers it waits for minutes, then gives the configured placement to try. A stop
/// request ends it. Says in the log what is missing. Does not throw: what goes wrong on the way is
/// said too, and the configured placement tried.
Placement remaining_placement(const std::string& program, const Config& config);

}  // namespace limewash::launcher
