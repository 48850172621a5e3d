#pragma once
// The whole configuration file: every section, each owned by the component that reads it.

#include <string>
#include <vector>

#include "data/prepare.h"
#include "data/reference.h"
#include "data/synthesize.h"
#include "eval/evaluator.h"
#include "models/adapter.h"
#include "models/base_model.h"
#include "runtime/config.h"
#include "tracking/run_recorder.h"
#include "trainer/options.h"

namespace limewash::launcher {

/// `run`.
struct RunOptions {
  std::string name = "default";
  std::string output = "runs";  ///< the run's folder is OUTPUT/NAME
  int64_t seed = 42;
  std::string precision = "fp32";  ///< fp32 | bf16: of frozen weights and activations
  int64_t threads = 0;             ///< of one rank; 0: this host's cores shared by its ranks
  std::string device = "auto";     ///< auto | cpu | cuda: what the networks compute on
  double time_limit_minutes = 0;   ///< after which train or launch stops; 0: none
  void describe(config::Fields& fields);
  void validate() const;
};

/// `data`.
struct DataOptions {
  std::string train;        ///< prepared dataset
  std::string validation;   ///< "" means no evaluation
  int64_t recolorings = 4;  ///< references cached for each sample
  int64_t variants = 1;     ///< cuts of a sample that are cached: itself, then flips and crops
  int64_t workers = 0;      ///< threads of a rank that load batches; 0: by its cores
  std::string on_bad_sample = "fail";  ///< fail | skip
  void describe(config::Fields& fields);
};

/// `launch`.
struct LaunchOptions {
  int64_t trainers = 1;            ///< MPI ranks that train
  int64_t evaluators = 0;          ///< further ranks that evaluate; 0: the trainers do it, in line
  double watchdog_minutes = 30;    ///< without a sign of life that end an attempt; 0: never
  int64_t max_restarts = 3;        ///< attempts after the first that a failed rank may cost
  int64_t min_trainers = 1;        ///< that a restart may be left with when hosts or GPUs are lost
  std::vector<std::string> hosts;  ///< "node1:4": ranks there; empty: the Slurm job's, or this one
  std::string binding = "none";    ///< none | core | numa: what each rank is kept to
  void describe(config::Fields& fields);
  /// `threads`: run.threads.
  void validate(int64_t threads) const;
};

struct Config {
  RunOptions run;
  models::BaseOptions base;
  DataOptions data;
  data::SynthesizeOptions synthesize;
  data::PrepareOptions prepare;
  data::ReferenceOptions reference;
  models::AdapterOptions adapter;
  trainer::TrainingOptions training;
  trainer::LossOptions loss;
  trainer::OptimizerOptions optimizer;
  trainer::CheckpointOptions checkpoint;
  eval::EvaluationOptions evaluation;
  LaunchOptions launch;
  tracking::TrackingOptions tracking;

  void describe(config::Fields& fields);
  /// Nothing here: a command validates the sections that it uses.
  void validate() const {}
  /// What `train` and `launch` need.
  void validate_training() const;
  /// The sections that shape a training trajectory, as YAML: a resumed run must have the same.
  std::string trajectory_yaml() const;

 private:
  /// That the stages have something to train and to train it with.
  void validate_stages() const;
};

/// Read `path` ("" for defaults) under the overrides.
Config load_config(const std::string& path, const std::vector<std::string>& overrides);

}  // namespace limewash::launcher
