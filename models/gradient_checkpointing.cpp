#include "models/gradient_checkpointing.h"

#include <memory>
#include <utility>

#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/saved_variable_hooks.h>
#include <torch/torch.h>

namespace limewash::models {

namespace {

using Layer = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// One checkpointed call: how to repeat it, and what the repetition saved.
class Frame {
 public:
  Frame(Layer layer, const std::vector<at::Tensor>& inputs) : layer_(std::move(layer)) {
    // Detached, or the graph would hold itself. Whether gradients are wanted decides what is saved.
    for (const at::Tensor& input : inputs) {
      inputs_.push_back(input.defined() ? input.detach().set_requires_grad(input.requires_grad())
                                        : input);
    }
  }

  /// A place for a tensor that the first run saves.
  size_t reserve() {
    return reserved_++;
  }

  /// A tensor that the repetition saves, in the same order.
  void store(at::Tensor tensor) {
    saved_.push_back(std::move(tensor));
  }

  /// The tensor of that place, which is then given up.
  at::Tensor take(size_t place) {
    if (place >= saved_.size() || !saved_[place].defined()) repeat();
    return std::exchange(saved_[place], at::Tensor());
  }

 private:
  void repeat();

  Layer layer_;
  std::vector<at::Tensor> inputs_, saved_;
  size_t reserved_ = 0;
};

/// What a thread is doing while autograd saves tensors.
struct Recording {
  std::shared_ptr<Frame> frame;
  Frame* repeated = nullptr;  ///< set while the layer is repeated
};
thread_local const Recording* recording = nullptr;

class RecordingGuard {
 public:
  explicit RecordingGuard(const Recording& now) : before_(std::exchange(recording, &now)) {}
  ~RecordingGuard() {
    recording = before_;
  }
  RecordingGuard(const RecordingGuard&) = delete;
  RecordingGuard& operator=(const RecordingGuard&) = delete;

 private:
  const Recording* before_;
};

void Frame::repeat() {
  saved_.clear();
  const torch::AutoGradMode record(true);
  const Recording now{nullptr, this};
  const RecordingGuard guard(now);
  layer_(inputs_);
  TORCH_CHECK(saved_.size() == reserved_,
              "gradient checkpointing: a layer saved ",
              reserved_,
              " tensors, and ",
              saved_.size(),
              " when it was repeated");
}

/// Stands for one saved tensor in the graph.
class SavedTensor : public torch::autograd::SavedVariableHooks {
 public:
  explicit SavedTensor(const Recording& now) : frame_(now.frame), repeated_(now.repeated) {}

  void call_pack_hook(const at::Tensor& tensor) override {
    if (repeated_ != nullptr) {
      repeated_->store(tensor.detach());
    } else {
      place_ = frame_->reserve();
    }
  }

  at::Tensor call_unpack_hook() override {
    TORCH_INTERNAL_ASSERT(frame_ != nullptr, "nobody differentiates the repetition");
    return frame_->take(place_);
  }

 private:
  std::shared_ptr<Frame> frame_;
  Frame* repeated_;
  size_t place_ = 0;
};

/// LibTorch asks the engine what to do with each tensor that it is about to save; this is how the
/// Python package gets its saved tensor hooks in, too. Otherwise the engine is LibTorch's own.
class CheckpointingEngine : public torch::autograd::Engine {
 public:
  static torch::autograd::Engine& instance() {
    static CheckpointingEngine engine;
    return engine;
  }
  ~CheckpointingEngine() override {
    stop();
  }
  std::unique_ptr<torch::autograd::SavedVariableHooks> get_default_saved_variable_hooks() override {
    if (recording == nullptr) return nullptr;
    return std::make_unique<SavedTensor>(*recording);
  }

 private:
  CheckpointingEngine() = default;
};

/// Before anything is differentiated: a process has one engine.
[[maybe_unused]] const bool kEngineIsSet = [] {
  torch::autograd::set_default_engine_stub(&CheckpointingEngine::instance);
  return true;
}();

}  // namespace

at::Tensor checkpoint(Layer layer, std::vector<at::Tensor> inputs) {
  if (!at::GradMode::is_enabled()) return layer(inputs);
  const Recording now{std::make_shared<Frame>(layer, inputs)};
  const RecordingGuard guard(now);
  return layer(inputs);
}

}  // namespace limewash::models
