#pragma once
// One rank that evaluates beside the trainers.

#include "launcher/config.h"
#include "launcher/rank_session.h"

namespace limewash::launcher {

/// Measure what the trainers put into RUN/queue, together with the other evaluators, until they end
/// or a stop is asked for; asleep while there is nothing to do. Returns kExitDone.
int run_evaluator_job(const Config& config, const RankGroup& ranks);

}  // namespace limewash::launcher
