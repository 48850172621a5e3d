#include "trainer/scaling_model.h"

#include <algorithm>
#include <cmath>

namespace limewash::trainer {

namespace {

double normal_cdf(double x) {
  return 0.5 * std::erfc(-x / std::sqrt(2.0));
}

/// A ring's time for `bytes` of which every one passes 2 (n - 1) / n times.
double ring_seconds(double bytes, int64_t ranks, double bytes_per_second) {
  const auto n = static_cast<double>(ranks);
  return 2 * (n - 1) / n * bytes / bytes_per_second;
}

}  // namespace

std::vector<Cluster> usual_clusters() {
  return {{"8 x H100 by NVLink, 400 Gbit/s a GPU", 8, 150e9, 5e-6, 8 * 40e9, 10e-6},
          {"8 x A100 by NVLink, 100 Gbit/s a node", 8, 100e9, 5e-6, 10e9, 15e-6},
          {"8 GPUs by PCIe, 25 Gbit/s a node", 8, 10e9, 10e-6, 2.5e9, 30e-6},
          {"1 GPU a node, 10 Gbit/s", 1, 1e12, 0, 1e9, 30e-6}};
}

double expected_maximum(int64_t count) {
  // E[max] = integral of 1 - F^n above 0, less that of F^n below, by Simpson's rule.
  constexpr int kSteps = 4000;
  constexpr double kRange = 12;
  const auto n = static_cast<double>(count);
  double sum = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const double x = kRange * i / kSteps;
    const double value = 1 - std::pow(normal_cdf(x), n) - std::pow(normal_cdf(-x), n);
    sum += value * (i == 0 || i == kSteps ? 1 : i % 2 == 1 ? 4 : 2);
  }
  return sum * kRange / kSteps / 3;
}

double all_reduce_seconds(const Cluster& cluster, double bytes, int64_t ranks) {
  const int64_t in_node = std::min(ranks, cluster.gpus_per_node);
  const int64_t nodes = (ranks + cluster.gpus_per_node - 1) / cluster.gpus_per_node;
  double seconds = 0;
  if (in_node > 1) {
    seconds += ring_seconds(bytes, in_node, cluster.node_bytes_per_second) +
               2 * static_cast<double>(in_node - 1) * cluster.node_latency_seconds;
  }
  if (nodes > 1) {
    seconds +=
        ring_seconds(bytes, nodes, cluster.network_bytes_per_second) +
        2 * std::ceil(std::log2(static_cast<double>(nodes))) * cluster.network_latency_seconds;
  }
  return seconds;
}

PredictedStep predict_step(const StepModel& step, const Cluster& cluster, int64_t ranks) {
  PredictedStep predicted;
  if (ranks > 1) {
    predicted.straggler_seconds = step.seconds * step.jitter * expected_maximum(ranks);
    predicted.communication_seconds = all_reduce_seconds(cluster, step.bytes, ranks);
  }
  predicted.efficiency =
      step.seconds / (step.seconds + predicted.straggler_seconds + predicted.communication_seconds);
  return predicted;
}

}  // namespace limewash::trainer
