#pragma once
// AdamW on one flat buffer, as torch.optim.AdamW computes it (fused), with clipping and an averaged
// copy.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "trainer/options.h"

namespace limewash::trainer {

class AdamW {
 public:
  /// Who decides whether a step is taken and clipped. The host has to wait for the device to know
  /// the gradient's norm; the device selects, and nobody waits.
  enum class Decision { kHost, kDevice };

  /// State for `values` [P] float32, whose storage it shares. `segments`: how many of the values
  /// have a learning rate of their own, in order; empty for one rate.
  AdamW(const OptimizerOptions& options,
        const at::Tensor& values,
        std::vector<int64_t> segments = {});
  AdamW(const OptimizerOptions& options,
        const at::Tensor& values,
        std::vector<int64_t> segments,
        Decision decision);

  /// One update from `gradients` [P] (changed by clipping) at one learning rate a segment. Returns
  /// the gradient's norm before clipping, a scalar where the values are; when that is not finite
  /// nothing is changed.
  at::Tensor step(at::Tensor gradients, const std::vector<double>& learning_rates);
  /// The same at one rate for all.
  at::Tensor step(at::Tensor gradients, double learning_rate);

  /// The averaged weights [P], or the weights themselves when options.ema is 0.
  const at::Tensor& averaged() const;
  /// Updates that were made. On a device it has to wait for them.
  int64_t updates() const;
  void set_updates(int64_t updates);
  /// What a checkpoint holds beside it: first and second moment and average, [P] each.
  at::Tensor exp_avg, exp_avg_sq, ema;

 private:
  void step_on_host(const at::Tensor& gradients,
                    const std::vector<double>& learning_rates,
                    double norm);
  void step_on_device(const at::Tensor& gradients,
                      const std::vector<double>& learning_rates,
                      const at::Tensor& norm);
  /// The fused update; neighbours of one rate are one call. `skip`: defined and 1 where nothing is
  /// to be done.
  void update(const at::Tensor& gradients,
              const std::vector<double>& learning_rates,
              const at::Tensor& skip);

  OptimizerOptions options_;
  at::Tensor values_;
  std::vector<int64_t> segments_;
  Decision decision_;
  at::Tensor updates_;  // scalar float32 where the values are, as the fused update takes it
};

}  // namespace limewash::trainer
