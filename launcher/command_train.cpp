// train: one rank of a training; alone, a complete single-process training.

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include "launcher/commands.h"
#include "launcher/training_job.h"
#include "launcher/training_memory.h"
#include "runtime/error.h"
#include "runtime/host_info.h"
#include "runtime/log.h"
#include "runtime/out_of_memory.h"
#include "runtime/stop_signal.h"
#include "runtime/threads.h"

namespace limewash::launcher {

namespace {

struct TrainFlags : CommonFlags {
  bool resume = false;
  bool overwrite = false;
};

Begin begin_of(const TrainFlags& flags) {
  if (flags.overwrite) return Begin::kOverwrite;
  return flags.resume ? Begin::kResume : Begin::kNew;
}

/// run_training_job, which says what to lower when memory runs out.
int run_within_memory(const Config& config, const TrainFlags& flags, Communicator& communicator) {
  const auto memory = read_memory_limits();
  try {
    return run_training_job(config, begin_of(flags), communicator);
  } catch (const std::exception& error) {
    if (!is_out_of_memory(error)) throw;
    throw InputError(out_of_memory_text(error, config, flags.config, memory));
  }
}

int train_alone(const Config& config, const TrainFlags& flags) {
  configure_threads(config.run.threads, 1);
  const auto communicator = make_single_process_communicator();
  return run_within_memory(config, flags, *communicator);
}

/// Under MPI the launcher reads how a run ended from its summary: mpirun takes any status but 0 as
/// a failed rank.
int train_under_mpi(const Config& config, const TrainFlags& flags) {
  MpiSession session;
  try {
    configure_threads(config.run.threads, session.local_size());
    auto communicator = session.world();
    configure_logging("info", communicator->rank(), communicator->size());
    run_within_memory(config, flags, *communicator);
    communicator.reset();
    session.finalize();
    return kExitDone;
  } catch (const ConfigError& error) {
    spdlog::error("{}", error.what());
    session.abort(kExitUsage);
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
    session.abort(kExitFailed);
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
  command->footer("Example: limewash train --config configs/demo.yaml --set run.name=first");
  command->callback([flags, &action] {
    action = [flags] {
      const auto config = load_config(flags->config, flags->overrides);
      install_stop_signals();
      return started_under_mpi() ? train_under_mpi(config, *flags) : train_alone(config, *flags);
    };
  });
}

}  // namespace limewash::launcher
