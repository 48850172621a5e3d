// bench scaling.

#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "launcher/bench_commands.h"
#include "launcher/scaling_run.h"
#include "launcher/text_table.h"
#include "runtime/device_info.h"
#include "runtime/error.h"
#include "trainer/bench_training.h"
#include "trainer/scaling_model.h"

namespace limewash::launcher {

namespace {

using nlohmann::json;
using trainer::median;

constexpr const char* kStepsHelp = "Of each kind in a round";

struct ScalingFlags {
  trainer::TrainBenchOptions bench;
  int64_t ranks = 2;
  double gpu_step_seconds = 0.2;  ///< of the prediction
  double gpu_jitter = 0.02;
  bool json = false;
};

struct ScalingReport {
  double alone_seconds = 0, beside_seconds = 0, together_seconds = 0;  ///< a step; medians
  double efficiency_idle = 0;          ///< alone against together: other cores idle
  double efficiency_busy = 0;          ///< beside others that it doesn't talk to, against together
  double efficiency_without_sums = 0;  ///< alone against beside: what the other cores cost
  std::vector<double> idle_rounds, busy_rounds, second_core_rounds;  ///< those of each round
  double communication_share = 0, jitter = 0;
  double latency_seconds = 0, bytes_per_second = 0;
  int64_t trainable_parameters = 0;
};

ScalingReport measure(const std::string& program, const ScalingFlags& flags) {
  spdlog::info("measuring {} rounds of {} steps alone, beside others and together",
               flags.bench.rounds,
               flags.bench.steps);
  const auto run = start_scaling_ranks(program, flags.bench, flags.ranks);
  ScalingReport report;
  std::vector<double> alone, beside, together;
  for (const auto& round : run.rounds) {
    alone.push_back(round.alone);
    beside.push_back(round.beside);
    together.push_back(round.together);
    report.idle_rounds.push_back(round.alone / round.together);
    report.busy_rounds.push_back(round.beside / round.together);
    report.second_core_rounds.push_back(round.alone / round.beside);
  }
  report.alone_seconds = median(alone);
  report.beside_seconds = median(beside);
  report.together_seconds = median(together);
  report.efficiency_idle = median(report.idle_rounds);
  report.efficiency_busy = median(report.busy_rounds);
  report.efficiency_without_sums = median(report.second_core_rounds);
  report.communication_share = run.communication_share;
  report.jitter = run.jitter;
  report.latency_seconds = run.latency_seconds;
  report.bytes_per_second = run.bytes_per_second;
  report.trainable_parameters = run.trainable_parameters;
  return report;
}

double bytes_of(const ScalingReport& report) {
  return 4.0 * static_cast<double>(report.trainable_parameters);
}

/// This machine as the model sees it: the measured latency is that of a whole sum.
double efficiency_by_model(const ScalingFlags& flags, const ScalingReport& report) {
  const trainer::StepModel step{report.beside_seconds, report.jitter, bytes_of(report)};
  const double straggler = step.seconds * step.jitter * trainer::expected_maximum(flags.ranks);
  const double sum = report.latency_seconds + step.bytes / report.bytes_per_second;
  return step.seconds / (step.seconds + straggler + sum);
}

std::vector<int64_t> predicted_ranks() {
  std::vector<int64_t> ranks;
  for (int64_t n = 8; n <= 1024; n *= 2) ranks.push_back(n);
  return ranks;
}

json prediction(const ScalingFlags& flags, const ScalingReport& report) {
  const trainer::StepModel step{flags.gpu_step_seconds, flags.gpu_jitter, bytes_of(report)};
  json clusters = json::array();
  for (const auto& cluster : trainer::usual_clusters()) {
    json efficiency = json::array();
    for (const int64_t ranks : predicted_ranks()) {
      efficiency.push_back(
          {{"gpus", ranks},
           {"efficiency", trainer::predict_step(step, cluster, ranks).efficiency}});
    }
    clusters.push_back({{"name", cluster.name},
                        {"gpus_per_node", cluster.gpus_per_node},
                        {"node_bytes_per_second", cluster.node_bytes_per_second},
                        {"node_latency_seconds", cluster.node_latency_seconds},
                        {"network_bytes_per_second", cluster.network_bytes_per_second},
                        {"network_latency_seconds", cluster.network_latency_seconds},
                        {"weak_efficiency", efficiency}});
  }
  return {{"step_seconds", step.seconds},
          {"jitter", step.jitter},
          {"bytes", step.bytes},
          {"clusters", clusters}};
}

json to_json(const ScalingFlags& flags, const ScalingReport& report) {
  const auto& bench = flags.bench;
  return {{"ranks", flags.ranks},
          {"threads", bench.threads},
          {"size", bench.size},
          {"batch", bench.batch},
          {"precision", bench.precision},
          {"cpu", read_cpu_info().model},
          {"alone_seconds", report.alone_seconds},
          {"beside_seconds", report.beside_seconds},
          {"together_seconds", report.together_seconds},
          {"efficiency_idle", report.efficiency_idle},
          {"efficiency_busy", report.efficiency_busy},
          {"efficiency_without_sums", report.efficiency_without_sums},
          {"efficiency_idle_rounds", report.idle_rounds},
          {"efficiency_busy_rounds", report.busy_rounds},
          {"efficiency_by_model", efficiency_by_model(flags, report)},
          {"communication_share", report.communication_share},
          {"jitter", report.jitter},
          {"all_reduce_latency_seconds", report.latency_seconds},
          {"all_reduce_bytes_per_second", report.bytes_per_second},
          {"trainable_parameters", report.trainable_parameters},
          {"prediction", prediction(flags, report)}};
}

std::string number(double value, const char* format) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

void print_text(const ScalingFlags& flags, const ScalingReport& report) {
  const std::string ranks = std::to_string(flags.ranks);
  std::fputs(
      text_table(
          {{"measured: a step of one rank alone", number(report.alone_seconds, "%.4f s")},
           {"  beside " + std::to_string(flags.ranks - 1) + " that it doesn't talk to",
            number(report.beside_seconds, "%.4f s")},
           {"  of " + ranks + " ranks together", number(report.together_seconds, "%.4f s")},
           {"weak efficiency, the other cores idle before", number(report.efficiency_idle, "%.3f")},
           {"  the other cores busy before", number(report.efficiency_busy, "%.3f")},
           {"  without any sum, idle against busy", number(report.efficiency_without_sums, "%.3f")},
           {"  by the model", number(efficiency_by_model(flags, report), "%.3f")},
           {"share of communication", number(100 * report.communication_share, "%.2f %%")},
           {"jitter of a rank's own step", number(100 * report.jitter, "%.2f %%")},
           {"a sum's latency", number(1e6 * report.latency_seconds, "%.1f us")},
           {"  bandwidth", number(report.bytes_per_second / 1e9, "%.2f GB/s")}},
          1)
          .c_str(),
      stdout);
  std::vector<std::vector<std::string>> table{{"predicted weak efficiency, GPUs"}};
  for (const int64_t n : predicted_ranks()) table.front().push_back(std::to_string(n));
  const trainer::StepModel step{flags.gpu_step_seconds, flags.gpu_jitter, bytes_of(report)};
  for (const auto& cluster : trainer::usual_clusters()) {
    table.push_back({cluster.name});
    for (const int64_t n : predicted_ranks())
      table.back().push_back(number(trainer::predict_step(step, cluster, n).efficiency, "%.3f"));
  }
  std::printf(
      "\n%s\nA prediction, for steps of %.3g s with a jitter of %.3g %%, and %.1f MB to sum "
      "(docs/scaling.md).\n",
      text_table(table, 1).c_str(),
      step.seconds,
      100 * step.jitter,
      step.bytes / 1e6);
}

void add_rounds(CLI::App& command, trainer::TrainBenchOptions& options) {
  command.add_option("--rounds", options.rounds, "Of alone, beside, together; medians count")
      ->capture_default_str()
      ->take_last();
}

void check(const ScalingFlags& flags) {
  trainer::check_bench_options(flags.bench);
  const auto cores = static_cast<int64_t>(std::thread::hardware_concurrency());
  if (flags.ranks < 2 || flags.ranks > 4096) {
    throw ConfigError("--ranks: " + std::to_string(flags.ranks) + ", expected 2 to 4096");
  }
  if (flags.bench.threads < 1) {
    throw ConfigError("--threads: 0, expected at least 1: alone and together a rank has the same");
  }
  if (flags.gpu_step_seconds <= 0 || flags.gpu_jitter < 0)
    throw ConfigError("--gpu-step-seconds, --gpu-jitter: expected positive numbers");
  if (flags.ranks * flags.bench.threads > cores) {
    spdlog::warn("{} ranks of {} thread(s) on {} cores: they share cores, which is no scaling",
                 flags.ranks,
                 flags.bench.threads,
                 cores);
  }
}

}  // namespace

void add_bench_scaling(CLI::App& bench, Action& action, const std::string& program) {
  auto flags = std::make_shared<ScalingFlags>();
  flags->bench.size = 256;
  flags->bench.steps = 6;
  flags->bench.rounds = 10;
  flags->bench.threads = 1;
  flags->bench.device = "cpu";
  auto* command = bench.add_subcommand(
      "scaling", "How much of a rank's speed several ranks keep, and a prediction for clusters");
  add_training_options(*command, flags->bench, kStepsHelp);
  command->add_option("--ranks", flags->ranks, "To compare with one")->capture_default_str();
  add_rounds(*command, flags->bench);
  command->add_option("--gpu-step-seconds", flags->gpu_step_seconds, "Of the prediction")
      ->capture_default_str();
  command->add_option("--gpu-jitter", flags->gpu_jitter, "Of the prediction, as a share")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print one line of JSON");
  command->footer("Example: limewash bench scaling --ranks 2 --size 256 --precision fp32");
  command->callback([flags, &action, program] {
    action = [flags, program] {
      check(*flags);
      const auto report = measure(program, *flags);
      if (flags->json)
        std::printf("%s\n", to_json(*flags, report).dump().c_str());
      else
        print_text(*flags, report);
      return static_cast<int>(kExitDone);
    };
  });

  // What the ranks of the command above run.
  auto rank_options = std::make_shared<trainer::TrainBenchOptions>();
  auto* rank = bench.add_subcommand("scaling-rank", "One rank of bench scaling")->group("");
  add_training_options(*rank, *rank_options, kStepsHelp);
  add_rounds(*rank, *rank_options);
  rank->callback([rank_options, &action] {
    action = [rank_options] {
      rank_options->validate();
      return run_scaling_rank(*rank_options);
    };
  });
}

}  // namespace limewash::launcher
