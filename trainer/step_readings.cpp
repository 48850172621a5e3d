#include "trainer/step_readings.h"

#include <utility>

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>

namespace limewash::trainer {

struct StepReadings::OnItsWay {
  LaunchedStep step;
  at::Tensor values;                  // on the CPU: the tail, then the norm
  std::optional<c10::Event> arrival;  // of values that come from a GPU
};

StepReadings::StepReadings(int64_t behind) : behind_(behind) {}

StepReadings::~StepReadings() = default;

void StepReadings::begin(LaunchedStep step,
                         const at::Tensor& tail,
                         const at::Tensor& gradient_norm) {
  const torch::NoGradGuard no_grad;
  auto reading = std::make_unique<OnItsWay>();
  reading->step = std::move(step);
  // A copy in any case: the next step clears the tail.
  const auto values = torch::cat({tail, gradient_norm.to(tail.scalar_type()).view({1})});
  if (!values.is_cuda()) {
    reading->values = values.to(torch::kCPU);
  } else {
    const auto device = values.device();
    reading->values = torch::empty(values.sizes(), torch::TensorOptions().pinned_memory(true));
    reading->values.copy_(values, /*non_blocking=*/true);
    reading->arrival.emplace(device.type());
    reading->arrival->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }
  steps_.push_back(std::move(reading));
}

std::optional<StepReading> StepReadings::due() {
  return static_cast<int64_t>(steps_.size()) > behind_ ? oldest() : std::nullopt;
}

std::optional<StepReading> StepReadings::oldest() {
  if (steps_.empty()) return std::nullopt;
  const auto reading = std::move(steps_.front());
  steps_.pop_front();
  if (reading->arrival) reading->arrival->synchronize();
  const auto size = reading->values.size(0) - 1;
  return StepReading{std::move(reading->step),
                     reading->values.narrow(0, 0, size),
                     double{reading->values.const_data_ptr<float>()[size]}};
}

}  // namespace limewash::trainer
