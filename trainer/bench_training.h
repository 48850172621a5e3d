#pragma once
// The training that `limewash bench` measures.

#include <memory>

#include <ATen/core/Tensor.h>

#include "runtime/communicator.h"
#include "trainer/train_bench.h"

namespace limewash::trainer {

/// All that can be told of the options without making the networks. Throws ConfigError naming the
/// option, InputError naming the base's file.
void check_bench_options(const TrainBenchOptions& options);

/// The parts of a training, wired as Trainer wires them, on samples that are drawn in memory.
class BenchTraining {
 public:
  /// Makes the networks. `communicator` sums the gradients, and must outlive it. Throws InputError,
  /// ConfigError.
  BenchTraining(const TrainBenchOptions& options, Communicator& communicator);
  ~BenchTraining();
  BenchTraining(const BenchTraining&) = delete;
  BenchTraining& operator=(const BenchTraining&) = delete;

  /// One training step, whose samples are drawn by `number`. Throws InputError when the gradient is
  /// not finite.
  StepSeconds step(int64_t number);

  /// Steps to take before the times of one mean anything: until passes are recorded.
  int64_t warm_up_steps() const;

  /// From the next step on gradients are summed by this communicator, which must outlive the steps.
  void sum_over(Communicator& communicator);

  double flops() const;  ///< of one step
  int64_t trainable_parameters() const;
  double loss() const;  ///< of the last step
  at::Device device() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace limewash::trainer
