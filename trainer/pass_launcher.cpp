#include "trainer/pass_launcher.h"

#include <utility>

#include <c10/util/Exception.h>
#include <spdlog/spdlog.h>
#include <torch/torch.h>

namespace limewash::trainer {

namespace {

/// Memory for inputs of these shapes.
PassInputs memory_for(const PassInputs& inputs, at::Device device) {
  return {inputs.batch.empty_on(device),
          torch::empty_like(inputs.denominators, torch::TensorOptions(device))};
}

}  // namespace

PassLauncher::PassLauncher(at::Device device, std::unique_ptr<LaunchRecorder> recorder)
    : device_(device), recorder_(std::move(recorder)) {}

void PassLauncher::run(const std::string& kind, const PassInputs& inputs, const Pass& pass) {
  const auto launch_each_kernel = [&] {
    pass({inputs.batch.to(device_), inputs.denominators.to(device_, /*non_blocking=*/true)});
  };
  if (!records()) return launch_each_kernel();
  const auto key = kind + " " + inputs.batch.shapes();
  if (kinds_.size() >= kMostKinds && !kinds_.contains(key)) return launch_each_kernel();
  const auto [place, is_new] = kinds_.try_emplace(key);
  Kind& state = place->second;
  if (is_new) state.inputs = memory_for(inputs, device_);
  state.inputs.batch.copy_from(inputs.batch);
  state.inputs.denominators.copy_(inputs.denominators, /*non_blocking=*/true);
  if (state.passes++ < kWarmUp) return pass(state.inputs);
  if (!state.recording) state.recording = recording_of(kind, state.inputs, pass);
  if (state.recording) return state.recording->replay();
  const auto last = state.inputs;
  kinds_.clear();  // what is recorded would only hold its memory
  pass(last);
}

std::unique_ptr<Recording> PassLauncher::recording_of(const std::string& kind,
                                                      const PassInputs& inputs,
                                                      const Pass& pass) {
  try {
    return recorder_->record([pass, inputs] { pass(inputs); });
  } catch (const c10::Error& error) {
    spdlog::warn("no CUDA graph, which is slower: a pass ({}) can't be recorded: {}",
                 kind.empty() ? "noise" : "noise, " + kind,
                 error.what_without_backtrace());
    recorder_.reset();
    return nullptr;
  }
}

bool PassLauncher::records() const {
  return recorder_ != nullptr;
}

void PassLauncher::forget() {
  kinds_.clear();
}

int64_t PassLauncher::recordings() const {
  int64_t count = 0;
  for (const auto& [key, kind] : kinds_) count += kind.recording != nullptr ? 1 : 0;
  return count;
}

}  // namespace limewash::trainer
