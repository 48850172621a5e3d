#include "launcher/config.h"

#include "launcher/hosts.h"
#include "runtime/error.h"
#include "trainer/stages.h"

namespace limewash::launcher {

void RunOptions::describe(config::Fields& fields) {
  fields.field("name", name, "the run's name");
  fields.field("output", output, "folder of all runs");
  fields.field("seed", seed, "of every random draw", {0, std::numeric_limits<int64_t>::max()});
  fields.choice("precision", precision, {"fp32", "bf16"}, "of frozen weights and activations");
  fields.field(
      "threads", threads, "of one rank; 0: the host's cores shared by its ranks", {0, 4096});
  fields.choice("device",
                device,
                {"auto", "cpu", "cuda"},
                "what the networks compute on; auto: a GPU for each rank where CUDA shows one");
  fields.field("time_limit_minutes",
               time_limit_minutes,
               "minutes after which train or launch stops as if it were asked to; 0: none",
               {0, 1e6});
}

void RunOptions::validate() const {
  const bool plain =
      !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
  if (!plain) throw ConfigError("run.name = '" + name + "': expected a name without '/'");
}

void DataOptions::describe(config::Fields& fields) {
  fields.field("train", train, "prepared dataset to train on: its train side");
  fields.field("validation",
               validation,
               "prepared dataset to evaluate on: its validation side, or all where it has none; "
               "empty: none");
  fields.field("recolorings", recolorings, "references cached for each sample", {1, 1024});
  fields.field("variants",
               variants,
               "cuts cached for each sample: 1 is the sample alone, more add flips and crops",
               {1, 64});
  fields.field("workers", workers, "threads that load batches; 0: by the cores", {0, 1024});
  fields.choice("on_bad_sample",
                on_bad_sample,
                {"fail", "skip"},
                "what a damaged sample does: end the run, or let the next one stand in");
}

void LaunchOptions::describe(config::Fields& fields) {
  fields.field("trainers", trainers, "MPI ranks that train", {1, 65536});
  fields.field("evaluators",
               evaluators,
               "further MPI ranks that evaluate; 0: the trainers do it between steps",
               {0, 65536});
  fields.field("watchdog_minutes",
               watchdog_minutes,
               "minutes without a sign of life after which an attempt is ended and begun again; 0: "
               "never",
               {0, 1e6});
  fields.field(
      "max_restarts", max_restarts, "restarts from the last checkpoint after a failure", {0, 1000});
  fields.field("min_trainers",
               min_trainers,
               "the fewest that a restart may go on with when hosts or GPUs are lost; as many as "
               "trainers: wait for them instead",
               {1, 65536});
  fields.field("hosts",
               hosts,
               "where ranks run: [node1:4, node2:4], the number being ranks there; none: those of "
               "the Slurm job, or this host");
  fields.choice("binding",
                binding,
                {"none", "core", "numa"},
                "what each rank is kept to: nothing, run.threads cores of its own, or a part of "
                "the host that shares its memory");
}

void LaunchOptions::validate(int64_t threads) const {
  if (min_trainers > trainers) {
    throw ConfigError("launch.min_trainers = " + std::to_string(min_trainers) +
                      ": expected launch.trainers = " + std::to_string(trainers) + " at most");
  }
  if (binding == "core" && threads == 0) {
    throw ConfigError(
        "launch.binding = core: run.threads = 0 does not say how many cores a rank gets; expected "
        "a number of threads");
  }
  parse_hosts(hosts, trainers + evaluators);
}

void Config::describe(config::Fields& fields) {
  fields.section("run", run);
  fields.section("base", base);
  fields.section("data", data);
  fields.section("synthesize", synthesize);
  fields.section("prepare", prepare);
  fields.section("reference", reference);
  fields.section("adapter", adapter);
  fields.section("training", training);
  fields.section("loss", loss);
  fields.section("optimizer", optimizer);
  fields.section("checkpoint", checkpoint);
  fields.section("evaluation", evaluation);
  fields.section("launch", launch);
  fields.section("tracking", tracking);
}

void Config::validate_stages() const {
  bool ip_adapter_has_weights = !base.ip_adapter.empty(), only_full = true;
  for (const auto& stage : trainer::stages_of(training, optimizer)) {
    only_full = only_full && stage.name == "full";
    ip_adapter_has_weights = ip_adapter_has_weights || trainer::trains(stage.name, "ip_adapter");
    if (adapter.ip_adapter.kind != "none" && !ip_adapter_has_weights) {
      throw ConfigError("training.stage is lora and adapter.ip_adapter.kind is " +
                        adapter.ip_adapter.kind +
                        ": a new IP-Adapter would stay untrained; expected base.ip_adapter, a file "
                        "to start from, or adapter.ip_adapter.kind = none");
    }
    if (stage.name == "full" && run.precision != "fp32") {
      throw ConfigError("run.precision = " + run.precision +
                        ": training.stage full changes the base's own weights, which are kept in "
                        "fp32; expected fp32");
    }
  }
  if (!only_full) adapter.validate();
}

void Config::validate_training() const {
  run.validate();
  base.validate();
  reference.validate();
  adapter.lora.validate();
  adapter.ip_adapter.validate();
  training.validate();
  loss.validate();
  optimizer.validate();
  checkpoint.validate();
  evaluation.validate();
  tracking.validate();
  launch.validate(run.threads);
  validate_stages();
  if (launch.evaluators > 0 && (evaluation.every == 0 || data.validation.empty())) {
    throw ConfigError("launch.evaluators = " + std::to_string(launch.evaluators) +
                      ": nothing to do for them; expected evaluation.every > 0 and "
                      "data.validation, a folder");
  }
  if (data.train.empty())
    throw ConfigError("data.train = '': expected the folder of a prepared dataset");
}

namespace {

/// The part of a Config that `trajectory_yaml` writes.
struct Trajectory {
  Config config;
  void describe(config::Fields& fields) {
    fields.field("seed", config.run.seed, "");
    fields.field("precision", config.run.precision, "");
    fields.field("prediction_type", config.base.prediction_type, "");
    fields.field("zero_terminal_snr", config.base.zero_terminal_snr, "");
    fields.field("recolorings", config.data.recolorings, "");
    fields.field("variants", config.data.variants, "");
    fields.section("reference", config.reference);
    fields.section("adapter", config.adapter);
    config.training.stop_at = 0;                     // ends an attempt, not the run
    config.training.gradient_checkpointing = false;  // the same gradients in less memory
    config.training.cuda_graph = true;               // the same kernels, launched at once
    config.training.validation = {};                 // measures only
    fields.section("training", config.training);
    fields.section("loss", config.loss);
    fields.section("optimizer", config.optimizer);
  }
};

}  // namespace

std::string Config::trajectory_yaml() const {
  return config::to_yaml(Trajectory{*this});
}

Config load_config(const std::string& path, const std::vector<std::string>& overrides) {
  Config config;
  config::Document::load(path, overrides).read_into(config);
  return config;
}

}  // namespace limewash::launcher
