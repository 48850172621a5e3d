#include "trainer/train_bench.h"

#include <algorithm>
#include <chrono>

#include <c10/cuda/CUDACachingAllocator.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <torch/torch.h>

#include "eval/metrics.h"
#include "models/precision.h"
#include "runtime/captured_process.h"
#include "runtime/communicator.h"
#include "runtime/device_info.h"
#include "runtime/error.h"
#include "runtime/host_info.h"
#include "runtime/rank_gpu.h"
#include "runtime/stop_signal.h"
#include "runtime/threads.h"
#include "trainer/bench_training.h"

namespace limewash::trainer {

namespace {

/// "cpu: NAME" or "cuda: NAME".
std::string device_text(const TrainBenchOptions& options) {
  const bool gpu = models::compute_device(options.device).is_cuda();
  const auto gpus = gpu ? read_device_info().gpus : std::vector<GpuInfo>{};
  const std::string name = gpu ? (gpus.empty() ? "" : gpus.front().name) : read_cpu_info().model;
  return std::string(gpu ? "cuda" : "cpu") + (name.empty() ? "" : ": " + name);
}

double peak_vram_gib() {
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(c10::cuda::current_device());
  return static_cast<double>(stats.allocated_bytes[0].peak) / (1 << 30);
}

StepSeconds median_split(const std::vector<StepSeconds>& steps) {
  const auto of = [&](double StepSeconds::*part) {
    std::vector<double> values;
    for (const auto& step : steps) values.push_back(step.*part);
    return median(values);
  };
  return {of(&StepSeconds::data),
          of(&StepSeconds::forward),
          of(&StepSeconds::backward),
          of(&StepSeconds::communication),
          of(&StepSeconds::optimizer),
          of(&StepSeconds::forward_backward)};
}

/// Train one round; false when a signal ended it.
bool measure(BenchTraining& training, const TrainBenchOptions& options, TrainBenchReport& report) {
  std::vector<StepSeconds> steps;
  std::vector<double> totals;
  for (int64_t i = 0; i < options.steps; ++i) {
    if (stop_requested()) return false;
    const auto step = training.step(i);
    if (report.first_step_seconds == 0) report.first_step_seconds = step.total();
    if (i < 2 && options.steps > 2) continue;
    steps.push_back(step);
    totals.push_back(step.total());
  }
  const double seconds = median(totals);
  if (report.seconds_per_step == 0 || seconds < report.seconds_per_step) {
    report.seconds_per_step = seconds;
    report.split = median_split(steps);
  }
  report.loss = training.loss();
  return true;
}

void run_peer(const TrainBenchOptions& options, TrainBenchReport& report) {
  constexpr double kLongest = 24 * 3600;
  auto same = options;
  same.threads = report.threads;
  auto command = options.peer;
  const auto arguments = same.arguments();
  command.insert(command.end(), arguments.begin(), arguments.end());
  if (report.peak_vram_gib) command.insert(command.end(), {"--device", "cuda"});
  const auto done = run_captured(command, {}, kLongest);
  const std::string& name = options.peer.back();
  if (done.status != 0) {
    throw InputError(name + ": ended with status " + std::to_string(done.status) + ": " +
                     done.last_line());
  }
  const auto line = done.last_output_line();
  const auto result = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  for (const char* key : {"samples_per_second", "peak_rss_gib"}) {
    if (!result.is_object() || !result.contains(key) || !result[key].is_number())
      throw InputError(name + ": its last line is no JSON with " + key + ": " + line);
  }
  report.peer_samples_per_second = std::max(report.peer_samples_per_second.value_or(0),
                                            result["samples_per_second"].get<double>());
  report.peer_peak_rss_gib =
      std::max(report.peer_peak_rss_gib.value_or(0), result["peak_rss_gib"].get<double>());
  if (report.peak_vram_gib && result.contains("peak_vram_gib")) {
    report.peer_peak_vram_gib =
        std::max(report.peer_peak_vram_gib.value_or(0), result["peak_vram_gib"].get<double>());
  }
}

}  // namespace

double StepSeconds::total() const {
  return data + forward + backward + forward_backward + communication + optimizer;
}

std::vector<std::string> TrainBenchOptions::arguments() const {
  return {"--size",
          std::to_string(size),
          "--batch",
          std::to_string(batch),
          "--precision",
          precision,
          "--rank",
          std::to_string(rank),
          "--steps",
          std::to_string(steps),
          "--threads",
          std::to_string(threads)};
}

double median(const std::vector<double>& measurements) {
  return eval::quantile(measurements, 0.5).value();
}

void TrainBenchOptions::validate() const {
  const auto check = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
      throw ConfigError(std::string(name) + ": " + std::to_string(value) + ", expected " +
                        std::to_string(low) + " to " + std::to_string(high));
  };
  check("--size", size, 8, 4096);
  check("--batch", batch, 1, 4096);
  check("--rank", rank, 1, 1024);
  check("--steps", steps, 1, 1'000'000);
  check("--rounds", rounds, 1, 1000);
  check("--threads", threads, 0, 4096);
  if (device != "auto" && device != "cpu" && device != "cuda")
    throw ConfigError("--device: '" + device + "', expected auto, cpu or cuda");
  models::compute_type(precision, "--precision");
}

TrainBenchReport bench_training(const TrainBenchOptions& options) {
  options.validate();
  TrainBenchReport report;
  report.threads = configure_threads(options.threads);
  report.device = device_text(options);
  spdlog::info("making a network");
  const auto communicator = make_single_process_communicator(rank_device(options.device));
  BenchTraining training(options, *communicator);
  report.trainable_parameters = training.trainable_parameters();
  for (int64_t i = 0; i < training.warm_up_steps() && !stop_requested(); ++i) training.step(i);
  for (int64_t round = 0; round < options.rounds && !report.stopped; ++round) {
    spdlog::info("training {} steps", options.steps);
    report.stopped = !measure(training, options, report);
    report.peak_rss_gib = static_cast<double>(peak_resident_bytes()) / (1 << 30);
    if (training.device().is_cuda()) report.peak_vram_gib = peak_vram_gib();
    if (report.stopped || options.peer.empty()) continue;
    spdlog::info("the peer");
    run_peer(options, report);
  }
  if (report.seconds_per_step > 0) {
    report.tflops = training.flops() / report.seconds_per_step / 1e12;
  }
  return report;
}

}  // namespace limewash::trainer
