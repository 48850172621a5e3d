// bench scaling.

#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "eval/metrics.h"
#include "launcher/bench_commands.h"
#include "launcher/mpi_command.h"
#include "launcher/rank_session.h"
#include "launcher/text_table.h"
#include "runtime/all_reduce_check.h"
#include "runtime/captured_process.h"
#include "runtime/device_info.h"
#include "runtime/error.h"
#include "runtime/rank_gpu.h"
#include "runtime/stop_signal.h"
#include "trainer/bench_training.h"
#include "trainer/scaling_model.h"

namespace limewash::launcher {

namespace {

using nlohmann::json;

constexpr int64_t kWarmUpSteps = 2;
constexpr const char* kStepsHelp = "Timed steps of a run, after two that warm up";
constexpr double kLongestRun = 24 * 3600;

struct ScalingFlags {
  trainer::TrainBenchOptions bench;
  int64_t ranks = 2;
  bool apart = false;             ///< of the ranks' own command: they don't sum
  double gpu_step_seconds = 0.2;  ///< of the prediction
  double gpu_jitter = 0.02;
  bool json = false;
};

double median(const std::vector<double>& values) {
  return eval::quantile(values, 0.5).value();
}

/// What the ranks of one run print: each rank's steps.
struct ScalingRun {
  std::vector<std::vector<double>> totals, communication;  ///< seconds, by rank and step
  int64_t trainable_parameters = 0;
  double latency_seconds = 0, bytes_per_second = 0;  ///< of sums; 0 where nobody sums

  static ScalingRun parse(const std::string& line);
  /// Median over steps, mean over ranks.
  double step_seconds() const;
  double communication_share() const;
  /// Of what a rank spends on its own, around its median; the mean over ranks. By quartiles, since
  /// a few steps that the system interrupted are not the rule.
  double jitter() const;
};

ScalingRun ScalingRun::parse(const std::string& line) {
  const auto document = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) throw InputError("bench scaling: a rank printed no result: " + line);
  ScalingRun run;
  run.trainable_parameters = document.at("trainable_parameters");
  run.latency_seconds = document.at("latency_seconds");
  run.bytes_per_second = document.at("bytes_per_second");
  for (const auto& rank : document.at("ranks")) {
    run.totals.push_back(rank.at("totals"));
    run.communication.push_back(rank.at("communication"));
  }
  return run;
}

double ScalingRun::step_seconds() const {
  double sum = 0;
  for (const auto& steps : totals) sum += median(steps);
  return sum / static_cast<double>(totals.size());
}

double ScalingRun::communication_share() const {
  double sum = 0;
  for (const auto& steps : communication) sum += median(steps);
  return sum / static_cast<double>(communication.size()) / step_seconds();
}

double ScalingRun::jitter() const {
  constexpr double kQuartileOfNormal = 0.6744897501960817;
  double sum = 0;
  for (size_t rank = 0; rank < totals.size(); ++rank) {
    std::vector<double> own, distances;
    for (size_t i = 0; i < totals[rank].size(); ++i)
      own.push_back(totals[rank][i] - communication[rank][i]);
    const double middle = median(own);
    distances.reserve(own.size());
    for (const double seconds : own) distances.push_back(std::abs(seconds - middle));
    sum += median(distances) / kQuartileOfNormal / middle;
  }
  return sum / static_cast<double>(totals.size());
}

/// One rank's work: alone, beside others that it doesn't talk to, or with them.
int run_rank(const ScalingFlags& flags) {
  const auto device = rank_device(flags.bench.device);
  return run_on_ranks(
      flags.bench.threads,
      [&](Communicator& ranks) {
        const auto alone = make_single_process_communicator();
        Communicator& communicator = flags.apart ? *alone : ranks;
        trainer::BenchTraining training(flags.bench, communicator);
        std::vector<double> totals, communication;
        for (int64_t step = 0; step < kWarmUpSteps + flags.bench.steps; ++step) {
          if (step == kWarmUpSteps) ranks.barrier();
          const auto seconds = training.step(step);
          if (step < kWarmUpSteps) continue;
          totals.push_back(seconds.total());
          communication.push_back(seconds.communication);
        }
        AllReduceCheck sums;
        if (communicator.size() > 1) sums = check_all_reduce(communicator);
        const json own = {{"totals", totals}, {"communication", communication}};
        json all = json::array();
        for (const auto& text : ranks.all_gather(own.dump())) all.push_back(json::parse(text));
        if (ranks.rank() != 0) return kExitDone;
        const json line = {{"ranks", all},
                           {"trainable_parameters", training.trainable_parameters()},
                           {"latency_seconds", sums.latency_seconds},
                           {"bytes_per_second", sums.bytes_per_second}};
        std::printf("%s\n", line.dump().c_str());
        return kExitDone;
      },
      device);
}

/// `ranks` processes of this program at once.
ScalingRun start_ranks(const std::string& program,
                       const ScalingFlags& flags,
                       int64_t ranks,
                       bool apart) {
  std::vector<std::string> command;
  if (ranks > 1) command = mpirun_command(ranks);
  command.insert(command.end(), {program, "bench", "scaling-rank"});
  const auto& bench = flags.bench;
  if (!bench.model.empty()) command.insert(command.end(), {"--model", bench.model});
  const std::pair<const char*, std::string> arguments[] = {
      {"--size", std::to_string(bench.size)},
      {"--batch", std::to_string(bench.batch)},
      {"--precision", bench.precision},
      {"--rank", std::to_string(bench.rank)},
      {"--steps", std::to_string(bench.steps)},
      {"--threads", std::to_string(bench.threads)},
      {"--device", bench.device}};
  for (const auto& [name, value] : arguments) command.insert(command.end(), {name, value});
  if (apart) command.emplace_back("--apart");
  const auto done = run_captured(command, mpirun_environment(), kLongestRun);
  if (done.status != 0) {
    throw InputError("bench scaling: " + std::to_string(ranks) + " rank(s) ended with status " +
                     std::to_string(done.status) + ": " + done.last_line());
  }
  return ScalingRun::parse(done.last_output_line());
}

struct ScalingReport {
  double alone_seconds = 0, beside_seconds = 0, together_seconds = 0;  ///< a step; medians
  double efficiency_idle = 0;  ///< alone against together: other cores idle
  double efficiency_busy = 0;  ///< beside others that it doesn't talk to, against together
  std::vector<double> idle_rounds, busy_rounds;  ///< those of each round
  double communication_share = 0, jitter = 0;
  double latency_seconds = 0, bytes_per_second = 0;
  int64_t trainable_parameters = 0;
};

std::optional<ScalingReport> measure(const std::string& program, const ScalingFlags& flags) {
  ScalingReport report;
  std::vector<double> alone, beside, together, shares, jitters, latencies, bandwidths;
  for (int64_t round = 0; round < flags.bench.rounds; ++round) {
    spdlog::info("round {} of {}", round + 1, flags.bench.rounds);
    const auto one = start_ranks(program, flags, 1, false);
    if (stop_requested()) return std::nullopt;
    const auto strangers = start_ranks(program, flags, flags.ranks, true);
    if (stop_requested()) return std::nullopt;
    const auto all = start_ranks(program, flags, flags.ranks, false);
    if (stop_requested()) return std::nullopt;
    alone.push_back(one.step_seconds());
    beside.push_back(strangers.step_seconds());
    together.push_back(all.step_seconds());
    report.idle_rounds.push_back(alone.back() / together.back());
    report.busy_rounds.push_back(beside.back() / together.back());
    shares.push_back(all.communication_share());
    jitters.push_back(all.jitter());
    latencies.push_back(all.latency_seconds);
    bandwidths.push_back(all.bytes_per_second);
    report.trainable_parameters = all.trainable_parameters;
  }
  report.alone_seconds = median(alone);
  report.beside_seconds = median(beside);
  report.together_seconds = median(together);
  report.efficiency_idle = median(report.idle_rounds);
  report.efficiency_busy = median(report.busy_rounds);
  report.communication_share = median(shares);
  report.jitter = median(jitters);
  report.latency_seconds = median(latencies);
  report.bytes_per_second = median(bandwidths);
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

void check(const ScalingFlags& flags) {
  flags.bench.validate();
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
  flags->bench.rounds = 3;
  flags->bench.threads = 1;
  flags->bench.device = "cpu";
  auto* command = bench.add_subcommand(
      "scaling", "How much of a rank's speed several ranks keep, and a prediction for clusters");
  add_training_options(*command, flags->bench, kStepsHelp);
  command->add_option("--ranks", flags->ranks, "To compare with one")->capture_default_str();
  command->add_option("--rounds", flags->bench.rounds, "Of alone, beside, together; medians count")
      ->capture_default_str();
  command->add_option("--gpu-step-seconds", flags->gpu_step_seconds, "Of the prediction")
      ->capture_default_str();
  command->add_option("--gpu-jitter", flags->gpu_jitter, "Of the prediction, as a share")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print one line of JSON");
  command->footer("Example: limewash bench scaling --ranks 2 --size 256 --precision fp32");
  command->callback([flags, &action, program] {
    action = [flags, program] {
      check(*flags);
      install_stop_signals();
      const auto report = measure(program, *flags);
      if (!report) return static_cast<int>(kExitStopped);
      if (flags->json)
        std::printf("%s\n", to_json(*flags, *report).dump().c_str());
      else
        print_text(*flags, *report);
      return static_cast<int>(kExitDone);
    };
  });

  // What the ranks of the command above run.
  auto rank_flags = std::make_shared<ScalingFlags>();
  auto* rank = bench.add_subcommand("scaling-rank", "One rank of bench scaling")->group("");
  add_training_options(*rank, rank_flags->bench, kStepsHelp);
  rank->add_flag("--apart", rank_flags->apart, "Without sums over ranks");
  rank->callback([rank_flags, &action] {
    action = [rank_flags] {
      rank_flags->bench.validate();
      return run_rank(*rank_flags);
    };
  });
}

}  // namespace limewash::launcher
