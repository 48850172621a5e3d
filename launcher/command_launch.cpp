// launch: starts the ranks of both roles, supervises them, and restarts them from the last
// checkpoint.

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "launcher/commands.h"
#include "launcher/mpi_command.h"
#include "launcher/remaining_placement.h"
#include "launcher/run_table.h"
#include "launcher/supervisor.h"
#include "launcher/training_job.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/stop_signal.h"
#include "runtime/time_limit.h"
#include "trainer/run_folder.h"
#include "trainer/run_summary.h"

namespace limewash::launcher {

namespace {

struct LaunchFlags : CommonFlags {
  bool resume = false;
  bool overwrite = false;
};

/// The command line of one attempt.
std::vector<std::string> attempt_arguments(const std::string& program,
                                           const LaunchFlags& flags,
                                           const Config& config,
                                           const Placement& placement,
                                           bool resume,
                                           const std::filesystem::path& logs) {
  std::vector<std::string> arguments;
  const bool bound = config.launch.binding != "none";
  if (placement.ranks() > 1 || !placement.hosts.empty() || bound) {
    arguments = mpirun_command(placement.ranks(),
                               {.logs = logs,
                                .hosts = host_argument(placement.hosts),
                                .binding = config.launch.binding,
                                .cores = config.run.threads});
  }
  arguments.insert(arguments.end(), {program, "train"});
  if (!flags.config.empty()) arguments.insert(arguments.end(), {"--config", flags.config});
  for (const auto& override_text : flags.overrides)
    arguments.insert(arguments.end(), {"--set", override_text});
  const std::pair<const char*, int64_t> ranks[] = {{"trainers", placement.trainers},
                                                   {"evaluators", placement.evaluators}};
  for (const auto& [role, count] : ranks)
    arguments.insert(arguments.end(),
                     {"--set", std::string("launch.") + role + "=" + std::to_string(count)});
  // The time is that of all attempts together.
  arguments.insert(arguments.end(), {"--set", "run.time_limit_minutes=0"});
  if (resume) arguments.push_back("--resume");
  return arguments;
}

using SummaryTime = std::optional<std::filesystem::file_time_type>;

/// When the run's summary was written; nothing when there is none.
SummaryTime summary_time(const std::filesystem::path& folder) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(folder / "summary.json", error);
  return error ? SummaryTime() : SummaryTime(time);
}

/// How an attempt ended, by the summary that it wrote; "" when it wrote none since `before`.
std::string status_since(const std::filesystem::path& folder, const SummaryTime& before) {
  const auto now = summary_time(folder);
  if (!now || now == before) return "";
  return trainer::read_checked_summary(folder).value("status", "");
}

/// RUN/logs/attempt-N, which no attempt has written to.
std::filesystem::path next_logs(const std::filesystem::path& folder) {
  for (int64_t number = 1;; ++number) {
    const auto logs = folder / kLogsName / ("attempt-" + std::to_string(number));
    if (!std::filesystem::exists(logs)) return logs;
  }
}

/// What a run that was asked to stop comes to: whether it can go on from there.
int status_of_stopped(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / "checkpoints") ? kExitStopped : kExitFailed;
}

/// Before the attempt after this one, doubling from a second to half a minute.
std::chrono::seconds pause_after(int64_t attempt) {
  return std::chrono::seconds(std::min<int64_t>(int64_t{1} << std::min<int64_t>(attempt, 5), 30));
}

int supervise(const std::string& program, const LaunchFlags& flags, const Config& config) {
  const auto folder = run_folder_of(config);
  check_run_folder(config,
                   flags.overwrite ? Begin::kOverwrite
                   : flags.resume  ? Begin::kResume
                                   : Begin::kNew);
  // Here and not in the first attempt: one that died early would be followed by one that goes on
  // from the old run.
  if (flags.overwrite) overwrite_run(config);
  refuse_busy_run(config);
  const auto watchdog_seconds = std::llround(std::ceil(60 * config.launch.watchdog_minutes));
  auto placement = configured_placement(config);
  bool has_worked = false;
  for (int64_t attempt = 0;; ++attempt) {
    const auto before = summary_time(folder);
    const bool resume = flags.resume || flags.overwrite || attempt > 0;
    const auto [status, beat] = run_supervised(
        attempt_arguments(program, flags, config, placement, resume, next_logs(folder)),
        mpirun_environment(),
        {folder / kHeartbeatName, std::chrono::seconds(watchdog_seconds)});
    const auto run_status =
        status == kExitDone || status == kExitStopped ? status_since(folder, before) : "";
    if (run_status == "finished") return kExitDone;
    if (run_status == "stopped" || status == kExitStopped) return kExitStopped;
    // Once ranks have worked, what they refuse is a host that is no longer as it was.
    if (status == kExitUsage && !has_worked) return kExitUsage;
    has_worked = has_worked || beat;
    if (stop_requested()) return status_of_stopped(folder);
    if (beat && !std::filesystem::exists(folder)) {
      spdlog::error("{}: the run folder has vanished; not starting again from nothing",
                    folder.string());
      return kExitFailed;
    }
    if (attempt >= config.launch.max_restarts) {
      constexpr int kKilled = 128 + SIGKILL;
      spdlog::error("attempt {} ended with status {}; launch.max_restarts = {} is used up{}",
                    attempt + 1,
                    status,
                    config.launch.max_restarts,
                    status == kKilled ? "; a rank was killed, which is what the kernel does when "
                                        "memory runs out: see limewash doctor --config"
                                      : "");
      trainer::mark_run(folder, "failed");
      return kExitFailed;
    }
    const auto pause = pause_after(attempt);
    spdlog::warn("attempt {} ended with status {}; starting again from the last checkpoint in {} s",
                 attempt + 1,
                 status,
                 pause.count());
    sleep_unless_stopped(pause);
    // Before any rank has worked, what can't be reached is a mistake, or not there yet.
    if (has_worked && !stop_requested()) placement = remaining_placement(program, config);
    if (stop_requested()) return status_of_stopped(folder);
  }
}

}  // namespace

void add_launch(CLI::App& app, Action& action, const std::string& program) {
  auto* command = app.add_subcommand(
      "launch", "Start trainer and evaluator ranks under MPI and supervise them");
  auto flags = std::make_shared<LaunchFlags>();
  add_common_flags(*command, *flags);
  auto* resume =
      command->add_flag("--resume", flags->resume, "Go on from the newest checkpoint, or start");
  command->add_flag("--overwrite", flags->overwrite, "Replace the run that is there")
      ->excludes(resume);
  command->footer("Example: limewash launch --config configs/demo.yaml --set launch.trainers=2");
  command->callback([flags, &action, program] {
    action = [flags, program] {
      const auto config = load_config(flags->config, flags->overrides);
      config.validate_training();
      install_stop_signals();
      const TimeLimit limit(
          std::chrono::duration<double, std::ratio<60>>(config.run.time_limit_minutes));
      const int status = supervise(program, *flags, config);
      const auto folder = std::filesystem::path(config.run.output) / config.run.name;
      if (std::filesystem::exists(folder / "summary.json")) {
        const auto summary = trainer::read_checked_summary(folder);
        std::printf("%s\n",
                    flags->json ? summary.dump().c_str() : run_table(folder, summary).c_str());
      }
      return status;
    };
  });
}

}  // namespace limewash::launcher
