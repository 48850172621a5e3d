#pragma once
// What a data-parallel training step comes to on many GPUs: a small model out of latency, bandwidth
// and stragglers. A prediction, never a measurement.

#include <cstdint>
#include <string>
#include <vector>

namespace limewash::trainer {

/// How GPUs are connected. Bandwidths are those that a large sum reaches (NCCL's bus bandwidth),
/// latencies those of one message between neighbours.
struct Cluster {
  std::string name;
  int64_t gpus_per_node = 8;
  double node_bytes_per_second = 0, node_latency_seconds = 0;        ///< inside of a node
  double network_bytes_per_second = 0, network_latency_seconds = 0;  ///< of a node to the others
};

/// The clusters that `bench scaling` predicts for; where their figures are from: docs/scaling.md.
std::vector<Cluster> usual_clusters();

struct StepModel {
  double seconds = 0;  ///< of one rank alone
  double jitter = 0;   ///< standard deviation of that between ranks and steps, as a share of it
  double bytes = 0;    ///< summed over ranks in every step
};

struct PredictedStep {
  double straggler_seconds = 0;      ///< that a rank waits for the slowest, on average
  double communication_seconds = 0;  ///< of the sum alone
  double efficiency = 0;             ///< of weak scaling: a rank alone against a rank of these
};

/// Expected largest of `count` standard normal draws.
double expected_maximum(int64_t count);

/// A sum over `ranks`: rings inside of nodes (reduce-scatter, all-gather), between them a ring's
/// bandwidth with a tree's latency, whichever NCCL would choose being no slower.
double all_reduce_seconds(const Cluster& cluster, double bytes, int64_t ranks);

/// All ranks meet once a step, nothing overlaps.
PredictedStep predict_step(const StepModel& step, const Cluster& cluster, int64_t ranks);

}  // namespace limewash::trainer
