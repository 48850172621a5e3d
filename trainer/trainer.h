#pragma once
// The training loop. The launcher builds the parts and passes them in; all ranks of a run execute
// it together.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "eval/evaluator.h"
#include "models/adapter.h"
#include "models/base_model.h"
#include "runtime/communicator.h"
#include "runtime/progress.h"
#include "tracking/run_recorder.h"
#include "trainer/adamw.h"
#include "trainer/batch.h"
#include "trainer/checkpoint.h"
#include "trainer/checkpoint_writer.h"
#include "trainer/evaluation_queue.h"
#include "trainer/flat_parameters.h"
#include "trainer/loss_tail.h"
#include "trainer/objective.h"
#include "trainer/options.h"
#include "trainer/pass_launcher.h"
#include "trainer/run_files.h"
#include "trainer/spike_guard.h"
#include "trainer/stages.h"
#include "trainer/step_readings.h"
#include "trainer/validation_loss.h"

namespace limewash::trainer {

/// Everything that a run is made of; references outlive the trainer.
struct TrainerParts {
  models::BaseModel& base;
  models::Adapter& adapter;
  const data::Dataset& dataset;
  const data::LatentCache& cache;
  Communicator& communicator;
  eval::Evaluator* evaluator = nullptr;       ///< evaluates in line; nullptr: not
  ValidationLoss* validation = nullptr;       ///< nullptr: no validation loss
  tracking::RunRecorder* recorder = nullptr;  ///< on rank 0 only
  std::filesystem::path run_folder;
  std::string config_yaml;            ///< the resolved configuration
  std::string identity_yaml;          ///< the sections that shape the trajectory
  std::string default_identity_yaml;  ///< those sections at their defaults
  std::map<std::string, std::string> adapter_metadata{};  ///< goes into the exported files
  int64_t recolorings = 1;
  uint64_t seed = 42;
  std::string unet_config;  ///< of the base's unet/config.json: goes with an exported UNet
  /// Decodes predicted latents for the loss; nullptr: the base's VAE.
  std::shared_ptr<models::Autoencoder> loss_decoder{};
  std::shared_ptr<const eval::Lpips> lpips{};  ///< nullptr: the loss has no such term
  int64_t evaluators = 0;                      ///< ranks that evaluate, by RUN/queue
  /// Records passes; nullptr: CUDA graphs on a GPU, where training.cuda_graph asks for them.
  std::unique_ptr<LaunchRecorder> pass_recorder{};
  /// Steps that the host may be behind the device; nullopt: one on a GPU, none on a CPU.
  std::optional<int64_t> steps_behind{};
};

struct TrainerOptions {
  TrainingOptions training;
  LossOptions loss;
  OptimizerOptions optimizer;
  CheckpointOptions checkpoint;
  int64_t evaluate_every = 0;
  data::LoaderOptions loader;
};

enum class TrainStatus { kFinished, kStopped };

class Trainer {
 public:
  Trainer(const TrainerOptions& options, TrainerParts parts);
  ~Trainer();

  /// Go on from the newest complete checkpoint, if there is one, saying which settings differ from
  /// its. Returns the step. Throws ConfigError when it belongs to another run.
  int64_t resume();
  /// Train to the end, to training.stop_at, or to a stop request; leaves a checkpoint, the exported
  /// adapter (RUN/adapter) and summary.json.
  TrainStatus train();

 private:
  void train_step();
  /// Let the weights of that stage learn, with an optimizer that knows nothing yet.
  void begin_stage(size_t place);
  /// Go to the stage that the next step belongs to: what was averaged stays as its average.
  void begin_stage_if_due();
  /// Weights of the run's other stages, by name: what a checkpoint holds beside the flat state.
  std::vector<models::NamedParameter> settled_parameters();
  /// The update, unless the loss stands out and the guard skips it. Returns the gradient's norm, a
  /// scalar on the device.
  at::Tensor update(const std::vector<double>& learning_rates);
  /// The next micro-batch of this rank; `denominators` of the global batch.
  void forward_backward(const at::Tensor& denominators);
  /// Its forward and backward pass: adds gradients and losses to parameters_.reduced().
  void pass(const PassInputs& inputs, const TermSelection& selection, bool with_shares);
  /// Show the guard a step's loss over all ranks, and say so when it stands out. Returns whether
  /// the update is to be left out.
  bool judge_loss(int64_t step, double loss);
  /// Take in what a step came to.
  void account_for(const StepReading& reading);
  /// The same for all steps so far: what follows depends on them.
  void account_for_all();
  void add_seconds_since(std::chrono::steady_clock::time_point begin);
  /// Whether anything but the next step is due after this one.
  bool is_due_to_pause() const;
  void record_step(const StepReading& reading);
  /// One step of the discriminators, where there are some, by the gradients of all ranks.
  void update_discriminators();
  /// Whether that step measures each term's share of the gradient.
  bool measures_shares(int64_t step) const;
  void refuse_endless_skips(const LaunchedStep& step) const;
  /// Copy the state and have it written in the background; then `afterwards` is called there.
  void save(const std::function<void()>& afterwards = {});
  void save_if_due();
  /// A copy that nobody changes.
  TrainingState state_now();
  /// False when a stop request cut the evaluation short.
  bool evaluate_if_due();
  bool evaluate();
  bool evaluation_is_due() const;
  /// Leave the evaluation of this step to the ranks that evaluate, with its checkpoint.
  void hand_over_if_due();
  /// What those ranks have measured so far, and whether they were asked to stop.
  void take_evaluations();
  /// Wait until they have measured all. False when a stop request came first.
  bool await_evaluations();
  /// Log and journal a step's figures, which are in its evaluation folder.
  void report_evaluation(int64_t step);
  bool validate_if_due();
  void write_summary(TrainStatus status, bool with_controls);
  /// Of the run's end, measured here or by the ranks that evaluate; null when there are none.
  nlohmann::json measured_controls();
  /// The ids of the samples that any rank has skipped; all ranks call it.
  std::vector<std::string> skipped_samples();
  /// The adapter's files in `adapter`, the UNet's in `unet` where a stage trains it.
  void export_weights(const std::filesystem::path& adapter, const std::filesystem::path& unet);
  bool trains_unet() const;
  /// Run `body` with the averaged weights in the network.
  void with_averaged_weights(const std::function<void()>& body);
  bool is_writer() const;
  int64_t last_step() const;

  TrainerOptions options_;
  TrainerParts parts_;
  std::vector<Stage> stages_;
  size_t stage_ = 0;
  std::vector<TrainedPart> trained_;
  Objective objective_;
  LossTail loss_tail_;
  FlatParameters parameters_;
  AdamW optimizer_;
  SpikeGuard guard_;
  BatchSource source_;
  at::Tensor text_;  // [1, L, D], the empty prompt
  PassLauncher passes_;
  StepReadings readings_;
  RunIdentity identity_;
  std::unique_ptr<LossLog> loss_log_;
  std::unique_ptr<ValidationLog> validation_log_;
  std::unique_ptr<Progress> progress_;
  int64_t step_ = 0;
  int64_t saved_step_ = -1;  ///< of the newest checkpoint
  int64_t skipped_in_a_row_ = 0;
  int64_t steps_this_attempt_ = 0;
  double seconds_ = 0, seconds_this_attempt_ = 0;  ///< that steps took
  bool stop_agreed_ = false;
  std::optional<EvaluationQueue> queue_;  ///< on rank 0 only, and with ranks that evaluate
  std::set<int64_t> handed_over_;         ///< steps in it whose figures are not taken yet
  nlohmann::json controls_;               ///< that they measured
  double last_loss_ = 0;
  CheckpointWriter checkpoints_;  // last: its thread uses the rest
};

}  // namespace limewash::trainer
