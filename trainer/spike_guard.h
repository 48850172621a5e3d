#pragma once
// Tells losses that stand out from those before them, by median and median deviation.

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/config.h"

namespace limewash::trainer {

/// `optimizer.spike_guard`.
struct SpikeGuardOptions {
  std::string action = "off";  ///< off | warn | skip: what a spike does
  int64_t window = 100;        ///< losses that are looked back at; judged from half of it on
  /// Deviations above the median that make a spike. A deviation is 1.4826 times the median absolute
  /// deviation: the standard deviation, for normal losses.
  double threshold = 8.0;
  void describe(config::Fields& fields);
};

/// A pure function of the losses it has seen, which are the same on all ranks. A lasting change of
/// the loss is a spike for half a window at most.
class SpikeGuard {
 public:
  explicit SpikeGuard(const SpikeGuardOptions& options);

  struct Verdict {
    bool spike = false;
    bool skip = false;  ///< leave this step's update out
    double median = 0, deviation = 0;
  };
  /// Judge a step's loss by those before it, and remember it. One that is not finite is neither a
  /// spike nor remembered.
  Verdict judge(double loss);
  /// Whether it may leave out updates, so that it has to be asked before them.
  bool skips() const;

  /// What a checkpoint holds: the remembered losses, the oldest first, and how many were spikes.
  const std::vector<double>& losses() const;
  int64_t spikes() const;
  void restore(std::vector<double> losses, int64_t spikes);

 private:
  SpikeGuardOptions options_;
  std::vector<double> losses_;
  int64_t spikes_ = 0;
};

}  // namespace limewash::trainer
