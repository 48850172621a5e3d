#pragma once
// A pass is the forward and backward computation of one micro-batch: very many small kernels, which
// a GPU runs faster than a host can launch them one after the other. So a pass is recorded
// once, as a CUDA graph, and from then on launched at once.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "trainer/batch.h"

namespace limewash::trainer {

/// What differs from one pass to the next of its kind; all else that it reads or writes stays in
/// the same memory.
struct PassInputs {
  MicroBatch batch;
  at::Tensor denominators;  ///< LossScale::denominators
};

/// Must neither wait for the device nor depend on the values of its inputs on the host, where it is
/// to be recorded.
using Pass = std::function<void(const PassInputs&)>;

/// Work for a device that can be launched again and again.
class Recording {
 public:
  virtual ~Recording() = default;
  /// Have the device do it, without waiting.
  virtual void replay() = 0;
};

/// Records work instead of having it done.
class LaunchRecorder {
 public:
  virtual ~LaunchRecorder() = default;
  /// Throws c10::Error where `work` can't be recorded, with nothing of it done.
  virtual std::unique_ptr<Recording> record(std::function<void()> work) = 0;
};

class PassLauncher {
 public:
  /// Passes of a kind that are launched kernel by kernel before one is recorded: libraries make
  /// their choices and layers their copies of weights in them.
  static constexpr int64_t kWarmUp = 3;
  /// Kinds that are recorded; further ones are launched kernel by kernel.
  static constexpr size_t kMostKinds = 64;

  /// Everything runs on `device`. `recorder`: nullptr to launch all passes kernel by kernel.
  PassLauncher(at::Device device, std::unique_ptr<LaunchRecorder> recorder);

  /// Run `pass` on `inputs`, which may be on the host. Passes of one `kind` and of equal shapes
  /// launch the same kernels: from the fourth on the recorded one is launched, of what `pass` was
  /// when it was recorded. What can't be recorded is said once and launched kernel by kernel.
  void run(const std::string& kind, const PassInputs& inputs, const Pass& pass);
  /// Whether passes are recorded, and so must not depend on their samples on the host.
  bool records() const;
  /// Forget all recordings: the weights lie elsewhere now.
  void forget();
  /// How many kinds are recorded now.
  int64_t recordings() const;

 private:
  struct Kind {
    PassInputs inputs;  ///< the memory that its passes read
    int64_t passes = 0;
    std::unique_ptr<Recording> recording;
  };
  /// nullptr, from then on for good, where it can't be recorded.
  std::unique_ptr<Recording> recording_of(const std::string& kind,
                                          const PassInputs& inputs,
                                          const Pass& pass);

  at::Device device_;
  std::unique_ptr<LaunchRecorder> recorder_;
  std::map<std::string, Kind> kinds_;
};

}  // namespace limewash::trainer
