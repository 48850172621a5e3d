#include "launcher/scaling_run.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "launcher/commands.h"
#include "launcher/mpi_command.h"
#include "launcher/rank_session.h"
#include "runtime/all_reduce_check.h"
#include "runtime/captured_process.h"
#include "runtime/error.h"
#include "runtime/rank_gpu.h"
#include "trainer/bench_training.h"

namespace limewash::launcher {

namespace {

using nlohmann::json;
using trainer::median;

constexpr int64_t kWarmUpSteps = 2;
constexpr double kLongestRun = 24 * 3600;

enum Kind : size_t { kAlone, kBeside, kTogether, kKinds };

/// Seconds of one rank's steps of one kind.
struct Steps {
  std::vector<double> totals, communication;
};

/// The training of one rank, and who it sums with.
class ScalingRank {
 public:
  ScalingRank(const trainer::TrainBenchOptions& options, Communicator& ranks)
      : options_(options),
        ranks_(ranks),
        alone_(make_single_process_communicator()),
        training_(options, ranks) {}

  void warm_up() {
    const auto steps = std::max(kWarmUpSteps, training_.warm_up_steps());
    for (int64_t i = 0; i < steps; ++i) training_.step(number_++);
  }

  /// Empty for a rank that sleeps meanwhile.
  Steps take_steps(Kind kind) {
    training_.sum_over(kind == kTogether ? ranks_ : *alone_);
    Steps steps;
    if (kind == kAlone && ranks_.rank() != 0) {
      number_ += options_.steps;
      return steps;
    }
    if (kind != kAlone) ranks_.barrier();
    for (int64_t i = 0; i < options_.steps; ++i) {
      const auto seconds = training_.step(number_++);
      steps.totals.push_back(seconds.total());
      steps.communication.push_back(seconds.communication);
    }
    return steps;
  }

  int64_t trainable_parameters() const {
    return training_.trainable_parameters();
  }

 private:
  const trainer::TrainBenchOptions& options_;
  Communicator& ranks_;
  std::unique_ptr<Communicator> alone_;
  trainer::BenchTraining training_;
  int64_t number_ = 0;
};

/// ScalingRun::jitter of one rank's steps.
double jitter_of(const Steps& steps) {
  constexpr double kQuartileOfNormal = 0.6744897501960817;
  std::vector<double> own, distances;
  for (size_t i = 0; i < steps.totals.size(); ++i)
    own.push_back(steps.totals[i] - steps.communication[i]);
  const double middle = median(own);
  for (const double seconds : own) distances.push_back(std::abs(seconds - middle));
  return median(distances) / kQuartileOfNormal / middle;
}

void append(Steps& to, const Steps& more) {
  to.totals.insert(to.totals.end(), more.totals.begin(), more.totals.end());
  to.communication.insert(
      to.communication.end(), more.communication.begin(), more.communication.end());
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// One number of each rank.
std::vector<double> gather(Communicator& ranks, double own) {
  std::vector<double> all;
  for (const auto& text : ranks.all_gather(json(own).dump()))
    all.push_back(json::parse(text).get<double>());
  return all;
}

std::string to_line(const ScalingRun& run) {
  json rounds = json::array();
  for (const auto& round : run.rounds)
    rounds.push_back(
        {{"alone", round.alone}, {"beside", round.beside}, {"together", round.together}});
  const json line = {{"rounds", rounds},
                     {"communication_share", run.communication_share},
                     {"jitter", run.jitter},
                     {"latency_seconds", run.latency_seconds},
                     {"bytes_per_second", run.bytes_per_second},
                     {"trainable_parameters", run.trainable_parameters}};
  return line.dump();
}

ScalingRun parse(const std::string& line) {
  const auto document = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) throw InputError("bench scaling: a rank printed no result: " + line);
  ScalingRun run;
  for (const auto& round : document.at("rounds"))
    run.rounds.push_back({round.at("alone"), round.at("beside"), round.at("together")});
  run.communication_share = document.at("communication_share");
  run.jitter = document.at("jitter");
  run.latency_seconds = document.at("latency_seconds");
  run.bytes_per_second = document.at("bytes_per_second");
  run.trainable_parameters = document.at("trainable_parameters");
  return run;
}

/// All ranks call it; the result is complete on all.
ScalingRun measure(const trainer::TrainBenchOptions& options, Communicator& ranks) {
  ScalingRank rank(options, ranks);
  rank.warm_up();
  ScalingRun run;
  Steps together;
  for (int64_t round = 0; round < options.rounds; ++round) {
    std::array<double, kKinds> seconds{};
    // Another kind comes first in every round: a drift of the machine favours none.
    for (size_t turn = 0; turn < kKinds; ++turn) {
      const auto kind = static_cast<Kind>((turn + static_cast<size_t>(round)) % kKinds);
      // Who waits here sleeps: rank 0 has the machine to itself where it is alone.
      ranks.quiet_barrier();
      const auto steps = rank.take_steps(kind);
      ranks.quiet_barrier();
      const auto medians = gather(ranks, steps.totals.empty() ? 0.0 : median(steps.totals));
      seconds[kind] = kind == kAlone ? medians.front() : mean(medians);
      if (kind == kTogether) append(together, steps);
    }
    run.rounds.push_back({seconds[kAlone], seconds[kBeside], seconds[kTogether]});
  }
  run.communication_share =
      mean(gather(ranks, median(together.communication) / median(together.totals)));
  run.jitter = mean(gather(ranks, jitter_of(together)));
  const auto sums = check_all_reduce(ranks);
  run.latency_seconds = sums.latency_seconds;
  run.bytes_per_second = sums.bytes_per_second;
  run.trainable_parameters = rank.trainable_parameters();
  return run;
}

}  // namespace

int run_scaling_rank(const trainer::TrainBenchOptions& options) {
  return run_on_ranks(
      options.threads,
      [&](Communicator& ranks) {
        if (ranks.size() < 2)
          throw InputError("bench scaling-rank: expected to be one of several ranks");
        const auto run = measure(options, ranks);
        if (ranks.rank() == 0) std::printf("%s\n", to_line(run).c_str());
        return static_cast<int>(kExitDone);
      },
      rank_device(options.device));
}

ScalingRun start_scaling_ranks(const std::string& program,
                               const trainer::TrainBenchOptions& options,
                               int64_t ranks) {
  auto command = mpirun_command(ranks);
  command.insert(command.end(), {program, "bench", "scaling-rank"});
  if (!options.model.empty()) command.insert(command.end(), {"--model", options.model});
  const auto arguments = options.arguments();
  command.insert(command.end(), arguments.begin(), arguments.end());
  command.insert(command.end(),
                 {"--rounds", std::to_string(options.rounds), "--device", options.device});
  const auto done = run_captured(command, mpirun_environment(), kLongestRun);
  if (done.status != 0) {
    throw InputError("bench scaling: " + std::to_string(ranks) + " ranks ended with status " +
                     std::to_string(done.status) + ": " + done.last_line());
  }
  return parse(done.last_output_line());
}

}  // namespace limewash::launcher
