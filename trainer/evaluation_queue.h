#pragma once
// How trainers leave evaluations to ranks of their own: through files in RUN/queue, so that nobody
// waits for anybody, and a restart loses none.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace limewash::trainer {

/// RUN/queue. A step stands in it from when it is due until its figures are taken; the weights are
/// those of the checkpoint of that step, and step 0, the base alone, needs none. The run folder
/// must be the same on all hosts. One trainer and the evaluators use it at the same time.
class EvaluationQueue {
 public:
  struct Entry {
    int64_t step = 0;
    bool last = false;  ///< of the run: the controls are measured too
  };

  static constexpr const char* kFolder = "queue";  ///< in the run folder

  explicit EvaluationQueue(const std::filesystem::path& run_folder);

  // Of the trainer.

  /// Before anything else of an attempt: forgets how an earlier one ended. A stop may be asked for
  /// from here on.
  void begin();
  /// Go on after `step`: forgets the steps beyond, which come again, and those whose checkpoint is
  /// gone.
  void open(int64_t step);
  /// The checkpoint of that step must be complete.
  void add(const Entry& entry);
  /// The steps in the queue, ascending, measured or not.
  std::vector<int64_t> steps() const;
  /// Whether the evaluators are done with it.
  bool is_measured(int64_t step) const;
  /// The controls that were measured with it; null when none were.
  nlohmann::json controls(int64_t step) const;
  /// Its figures are taken: it and all that are older leave the queue.
  void settle(int64_t step);
  /// Nothing comes any more.
  void end();

  // Of the evaluators.

  /// What to measure next, after `done` (-1: nothing yet): the first step, then always the newest.
  std::optional<Entry> next(int64_t done) const;
  void mark_measured(int64_t step, const nlohmann::json& controls);
  bool has_ended() const;

  /// A stop that rank 0 was not asked for itself: of an evaluator, or of a trainer that waits. The
  /// process of rank 0 looks for it all the time, so the trainer need not.
  void ask_to_stop();
  bool is_asked_to_stop() const;

 private:
  std::filesystem::path entry_path(int64_t step) const;
  std::filesystem::path measured_path(int64_t step) const;

  std::filesystem::path folder_, checkpoints_;
};

}  // namespace limewash::trainer
