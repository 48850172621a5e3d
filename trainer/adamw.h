#pragma once
// AdamW on one flat buffer, as torch.optim.AdamW computes it (fused), with clipping and an averaged
// copy.

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "trainer/options.h"

namespace limewash::trainer {

/// The learning rate of optimizer step `step` (from 0): linear warm-up, then constant, cosine to 0,
/// or linear to 0 at `total_steps`.
double learning_rate_at(const OptimizerOptions& options, int64_t step, int64_t total_steps);

class AdamW {
 public:
  /// State for `values` [P] float32, which must outlive it.
  AdamW(const OptimizerOptions& options, at::Tensor& values);

  /// One update from `gradients` [P] (changed by clipping) at `learning_rate`. Returns the
  /// gradient's norm before clipping; when that is not finite nothing is changed.
  double step(at::Tensor gradients, double learning_rate);

  /// The averaged weights [P], or the weights themselves when options.ema is 0.
  const at::Tensor& averaged() const;
  /// What a checkpoint holds: first and second moment and average, [P] each, and the number of
  /// updates.
  at::Tensor exp_avg, exp_avg_sq, ema;
  int64_t updates = 0;

 private:
  OptimizerOptions options_;
  at::Tensor& values_;
};

}  // namespace limewash::trainer
