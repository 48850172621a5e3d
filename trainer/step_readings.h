#pragma once
// What a step came to, on its way from the device that computed it to the host that logs it.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "trainer/batch.h"

namespace limewash::trainer {

/// What the host knows of a step when it launches it.
struct LaunchedStep {
  int64_t number = 0;                 ///< from 0
  std::vector<StreamSample> samples;  ///< of the global batch
  double learning_rate = 0;
  bool with_shares = false;  ///< measures the terms' shares of the gradient
};

struct StepReading {
  LaunchedStep step;
  at::Tensor tail;           ///< what the ranks summed behind the gradients, on the CPU
  double gradient_norm = 0;  ///< before clipping
};

/// A host that waits for the figures of a step before it launches the next one leaves a GPU idle
/// meanwhile; so it may be some steps behind.
class StepReadings {
 public:
  /// `behind`: how many steps `due` leaves on their way. The same on all ranks, since what a
  /// reading says may end the run.
  explicit StepReadings(int64_t behind);
  ~StepReadings();

  /// Begin to read a step: copies of `tail` [S] and the scalar `gradient_norm`, float32, are under
  /// way when it returns.
  void begin(LaunchedStep step, const at::Tensor& tail, const at::Tensor& gradient_norm);
  /// The oldest step's, when more than `behind` are on their way; waits for it.
  std::optional<StepReading> due();
  /// The oldest step's, if there is one; waits for it.
  std::optional<StepReading> oldest();

 private:
  struct OnItsWay;
  int64_t behind_;
  std::deque<std::unique_ptr<OnItsWay>> steps_;
};

}  // namespace limewash::trainer
