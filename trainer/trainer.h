#pragma once
// The training loop. The launcher builds the parts and passes them in; all ranks of a run execute
// it together.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/evaluator.h"
#include "models/adapter.h"
#include "models/base_model.h"
#include "runtime/communicator.h"
#include "runtime/progress.h"
#include "tracking/run_recorder.h"
#include "trainer/adamw.h"
#include "trainer/batch.h"
#include "trainer/checkpoint.h"
#include "trainer/flat_parameters.h"
#include "trainer/loss_tail.h"
#include "trainer/objective.h"
#include "trainer/options.h"
#include "trainer/run_files.h"

namespace limewash::trainer {

/// Everything that a run is made of; references outlive the trainer.
struct TrainerParts {
  models::BaseModel& base;
  models::Adapter& adapter;
  const data::Dataset& dataset;
  const data::LatentCache& cache;
  Communicator& communicator;
  eval::Evaluator* evaluator = nullptr;       ///< nullptr: no evaluation
  tracking::RunRecorder* recorder = nullptr;  ///< on rank 0 only
  std::filesystem::path run_folder;
  std::string config_yaml;                              ///< the resolved configuration
  std::string identity_yaml;                            ///< the sections that shape the trajectory
  std::map<std::string, std::string> adapter_metadata;  ///< goes into the exported files
  int64_t recolorings = 1;
  uint64_t seed = 42;
  /// Decodes predicted latents for the loss; nullptr: the base's VAE.
  std::shared_ptr<models::Autoencoder> loss_decoder;
  std::shared_ptr<const eval::Lpips> lpips;  ///< nullptr: the loss has no such term
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

  /// Go on from the newest complete checkpoint, if there is one. Returns the step.
  int64_t resume();
  /// Train to the end, to training.stop_at, or to a stop request; leaves a checkpoint, the exported
  /// adapter (RUN/adapter) and summary.json.
  TrainStatus train();

 private:
  void train_step();
  /// The next micro-batch of this rank.
  void forward_backward(const LossScale& scale);
  void record_step(double gradient_norm, double learning_rate);
  /// One step of the discriminators, where there are some, by the gradients of all ranks.
  void update_discriminators();
  /// Whether the step in work measures each term's share of the gradient.
  bool measures_shares(int64_t step) const;
  void refuse_endless_skips(const std::vector<StreamSample>& samples) const;
  void save();
  void save_if_due();
  /// False when a stop request cut the evaluation short.
  bool evaluate_if_due();
  bool evaluate();
  void write_summary(TrainStatus status, bool with_controls);
  /// The ids of the samples that any rank has skipped; all ranks call it.
  std::vector<std::string> skipped_samples();
  void export_adapter(const std::filesystem::path& folder);
  /// Run `body` with the averaged weights in the network.
  void with_averaged_weights(const std::function<void()>& body);
  bool is_writer() const;
  int64_t last_step() const;
  std::filesystem::path evaluation_folder(int64_t step) const;

  TrainerOptions options_;
  TrainerParts parts_;
  Objective objective_;
  LossTail loss_tail_;
  FlatParameters parameters_;
  AdamW optimizer_;
  BatchSource source_;
  at::Tensor text_;  // [1, L, D], the empty prompt
  RunIdentity identity_;
  std::unique_ptr<LossLog> loss_log_;
  std::unique_ptr<Progress> progress_;
  int64_t step_ = 0;
  int64_t skipped_in_a_row_ = 0;
  int64_t steps_this_attempt_ = 0;
  double seconds_ = 0, seconds_this_attempt_ = 0;
  bool stop_agreed_ = false;
  double last_loss_ = 0;
};

/// The weights that `stage` trains, LoRA first.
std::vector<models::NamedParameter> trained_parameters(models::Adapter& adapter,
                                                       const std::string& stage);

}  // namespace limewash::trainer
