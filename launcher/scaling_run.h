#pragma once
// The ranks that `bench scaling` measures: the same training alone, beside others, and with them.

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/train_bench.h"

namespace limewash::launcher {

/// Seconds of a step, each a median over the round's steps and a mean over ranks. All three were
/// measured within moments of one another, so that their ratios hold even where the machine's speed
/// wanders.
struct ScalingRound {
  double alone = 0;     ///< of rank 0, while the others sleep
  double beside = 0;    ///< of all ranks at once, not talking
  double together = 0;  ///< of all ranks at once, summing over ranks
};

struct ScalingRun {
  std::vector<ScalingRound> rounds;
  double communication_share = 0;  ///< of the steps together, with the wait for other ranks
  /// Of what a rank spends on its own, as a share of its median: the standard deviation that its
  /// quartiles would have if it were normal, since a few steps that the system interrupted are not
  /// the rule. Mean over ranks.
  double jitter = 0;
  double latency_seconds = 0, bytes_per_second = 0;  ///< of sums
  int64_t trainable_parameters = 0;
};

/// One rank's share: `options.rounds` rounds of `options.steps` steps of each kind, after a few
/// that warm up. Under mpirun; rank 0 prints the result as a line of JSON. Returns the exit status.
int run_scaling_rank(const trainer::TrainBenchOptions& options);

/// Start `ranks` ranks by `program bench scaling-rank`, and wait for them. Throws InputError with
/// what they said when they fail.
ScalingRun start_scaling_ranks(const std::string& program,
                               const trainer::TrainBenchOptions& options,
                               int64_t ranks);

}  // namespace limewash::launcher
