#pragma once
// A recorder of passes for machines without a GPU.

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "trainer/pass_launcher.h"

namespace limewash::trainer {

/// Stands for a GPU's recorder: it calls again what it was shown, with all that was captured then,
/// so that whatever a pass takes from anywhere but its inputs is what it was at the recording.
class RecordedCalls final : public LaunchRecorder {
 public:
  /// Counts `replays` up. `around` is given the work at each of them, to be done or not.
  explicit RecordedCalls(
      int64_t& replays,
      std::function<void(const std::function<void()>& work)> around =
          [](const auto& work) { work(); })
      : replays_(&replays), around_(std::move(around)) {}

  std::unique_ptr<Recording> record(std::function<void()> work) override {
    struct Repetition final : Recording {
      void replay() override {
        ++*replays;
        around(work);
      }
      std::function<void()> work;
      std::function<void(const std::function<void()>&)> around;
      int64_t* replays = nullptr;
    };
    auto repetition = std::make_unique<Repetition>();
    repetition->work = std::move(work);
    repetition->around = around_;
    repetition->replays = replays_;
    return repetition;
  }

 private:
  int64_t* replays_;
  std::function<void(const std::function<void()>&)> around_;
};

}  // namespace limewash::trainer
