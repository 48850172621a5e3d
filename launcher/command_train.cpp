// train: one rank of a training; alone, a complete single-process training.

#include <chrono>
#include <cstdio>

#include <CLI/CLI.hpp>

#include "launcher/commands.h"
#include "launcher/evaluator_job.h"
#include "launcher/rank_session.h"
#include "launcher/training_job.h"
#include "launcher/training_memory.h"
#include "runtime/error.h"
#include "runtime/host_info.h"
#include "runtime/out_of_memory.h"
#include "runtime/rank_gpu.h"
#include "runtime/stop_signal.h"
#include "runtime/time_limit.h"

namespace limewash::launcher {

namespace {

struct TrainFlags : CommonFlags {
  bool resume = false;
  bool overwrite = false;
  bool dry_run = false;
};

Begin begin_of(const TrainFlags& flags) {
  if (flags.overwrite) return Begin::kOverwrite;
  return flags.resume ? Begin::kResume : Begin::kNew;
}

/// The job of this rank's role, which says what to lower when memory runs out.
int run_within_memory(const Config& config, const TrainFlags& flags, const RankGroup& ranks) {
  const auto memory = read_memory_limits();
  try {
    return ranks.role == Role::kEvaluator ? run_evaluator_job(config, ranks)
                                          : run_training_job(config, begin_of(flags), ranks);
  } catch (const std::exception& error) {
    if (!is_out_of_memory(error)) throw;
    throw InputError(out_of_memory_text(error, config, flags.config, memory));
  }
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("train", "One rank of training; alone, a complete training");
  auto flags = std::make_shared<TrainFlags>();
  add_common_flags(*command, *flags);
  auto* resume =
      command->add_flag("--resume", flags->resume, "Go on from the newest checkpoint, or start");
  command->add_flag("--overwrite", flags->overwrite, "Replace the run that is there")
      ->excludes(resume);
  command->add_flag(
      "--dry-run", flags->dry_run, "Check the configuration, print it with all defaults, and stop");
  command->footer("Example: limewash train --config configs/demo.yaml --set run.name=first");
  command->callback([flags, &action] {
    action = [flags] {
      const auto config = load_config(flags->config, flags->overrides);
      if (flags->dry_run) {
        config.validate_training();
        std::fputs(config::to_yaml(config).c_str(), stdout);
        return static_cast<int>(kExitDone);
      }
      install_stop_signals();
      const TimeLimit limit(
          std::chrono::duration<double, std::ratio<60>>(config.run.time_limit_minutes));
      // The launcher reads how a run under MPI ended from its summary.
      return run_by_role(
          config.run.threads,
          config.launch.evaluators,
          [&](const RankGroup& ranks) { return run_within_memory(config, *flags, ranks); },
          rank_device(config.run.device));
    };
  });
}

}  // namespace limewash::launcher
