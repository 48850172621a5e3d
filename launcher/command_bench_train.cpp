// bench train.

#include <cstdio>
#include <memory>
#include <sstream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "launcher/bench_commands.h"
#include "runtime/error.h"
#include "runtime/freed_memory.h"
#include "runtime/stop_signal.h"
#include "trainer/train_bench.h"

namespace limewash::launcher {

namespace {

struct BenchTrainFlags {
  trainer::TrainBenchOptions bench;
  std::string peer;
  bool json = false;
};

double samples_per_second(const BenchTrainFlags& flags, const trainer::TrainBenchReport& report) {
  return static_cast<double>(flags.bench.batch) / report.seconds_per_step;
}

/// What is launched as one can't be told apart: null.
nlohmann::json split_of(const trainer::StepSeconds& seconds) {
  const auto measured = [](double value) {
    return value > 0 ? nlohmann::json(value) : nlohmann::json();
  };
  nlohmann::json split = {{"data", seconds.data},
                          {"forward", measured(seconds.forward)},
                          {"backward", measured(seconds.backward)},
                          {"communication", seconds.communication},
                          {"optimizer", seconds.optimizer}};
  if (seconds.forward_backward > 0) split["forward_backward"] = seconds.forward_backward;
  return split;
}

nlohmann::json to_json(const BenchTrainFlags& flags, const trainer::TrainBenchReport& report) {
  const auto& bench = flags.bench;
  nlohmann::json line = {{"size", bench.size},
                         {"batch", bench.batch},
                         {"precision", bench.precision},
                         {"rank", bench.rank},
                         {"threads", report.threads},
                         {"device", report.device},
                         {"trainable_parameters", report.trainable_parameters},
                         {"samples_per_second", samples_per_second(flags, report)},
                         {"seconds_per_step", report.seconds_per_step},
                         {"first_step_seconds", report.first_step_seconds},
                         {"peak_rss_gib", report.peak_rss_gib},
                         {"tflops", report.tflops},
                         {"loss", report.loss},
                         {"split", split_of(report.split)}};
  if (report.peak_vram_gib) line["peak_vram_gib"] = *report.peak_vram_gib;
  if (report.peer_peak_vram_gib) line["peer_peak_vram_gib"] = *report.peer_peak_vram_gib;
  if (report.peer_samples_per_second) {
    line["peer_samples_per_second"] = *report.peer_samples_per_second;
    line["peer_peak_rss_gib"] = *report.peer_peak_rss_gib;
    line["times_peer"] = samples_per_second(flags, report) / *report.peer_samples_per_second;
  }
  return line;
}

void print_text(const BenchTrainFlags& flags, const trainer::TrainBenchReport& report) {
  const auto line = [](const char* name, double value, const char* unit) {
    std::printf("%-24s %10.4f %s\n", name, value, unit);
  };
  std::printf("%-24s %s, %lld threads\n",
              "device",
              report.device.c_str(),
              static_cast<long long>(report.threads));
  line("training", samples_per_second(flags, report), "samples/s");
  line("a step", report.seconds_per_step, "s");
  line("  data", report.split.data, "s");
  if (report.split.forward_backward > 0) {
    line("  forward and backward", report.split.forward_backward, "s");
  } else {
    line("  forward", report.split.forward, "s");
    line("  backward", report.split.backward, "s");
  }
  line("  communication", report.split.communication, "s");
  line("  optimizer", report.split.optimizer, "s");
  line("arithmetic", report.tflops, "TFLOPS");
  line("peak memory", report.peak_rss_gib, "GiB");
  if (report.peak_vram_gib) line("  on the GPU", *report.peak_vram_gib, "GiB");
  if (!report.peer_samples_per_second) return;
  line("the peer", *report.peer_samples_per_second, "samples/s");
  line("  its peak memory", *report.peer_peak_rss_gib, "GiB");
  if (report.peer_peak_vram_gib) line("  on the GPU", *report.peer_peak_vram_gib, "GiB");
  line("ratio", samples_per_second(flags, report) / *report.peer_samples_per_second, "");
}

int run(BenchTrainFlags flags) {
  std::istringstream words(flags.peer);
  for (std::string word; words >> word;) flags.bench.peer.push_back(word);
  flags.bench.validate();
  install_stop_signals();
  keep_freed_memory();
  const auto report = trainer::bench_training(flags.bench);
  if (report.stopped) return kExitStopped;
  if (flags.json)
    std::printf("%s\n", to_json(flags, report).dump().c_str());
  else
    print_text(flags, report);
  return kExitDone;
}

}  // namespace

void add_training_options(CLI::App& command,
                          trainer::TrainBenchOptions& options,
                          const char* steps_help) {
  const auto number = [&](const char* name, auto& value, const char* help) {
    command.add_option(name, value, help)->capture_default_str()->take_last();
  };
  command.add_option("--model",
                     options.model,
                     "Folder of a base model; else random weights at the size of Stable Diffusion "
                     "1.5 inpainting");
  number("--size", options.size, "Pixels of a side");
  number("--batch", options.batch, "Samples a step");
  number("--precision", options.precision, "fp32 or bf16");
  number("--rank", options.rank, "Of the LoRA");
  number("--steps", options.steps, steps_help);
  number("--threads", options.threads, "0: one for each core");
  number("--device", options.device, "auto, cpu or cuda");
}

void add_bench_train(CLI::App& bench, Action& action) {
  auto* command = bench.add_subcommand("train", "How fast a LoRA and an IP-Adapter Plus train");
  auto flags = std::make_shared<BenchTrainFlags>();
  auto& options = flags->bench;
  command->add_flag("--json", flags->json, "Print one line of JSON");
  add_training_options(*command, options, "Steps a round; the first two warm up");
  command->add_option("--rounds", options.rounds, "Rounds, of which the best counts")
      ->capture_default_str()
      ->take_last();
  command->add_flag("--gradient-checkpointing",
                    options.gradient_checkpointing,
                    "Compute activations again instead of keeping them");
  command->add_flag("!--no-cuda-graph",
                    options.cuda_graph,
                    "On a GPU: launch kernel by kernel, and time forward and backward apart");
  command
      ->add_option("--peer",
                   flags->peer,
                   "Command to compare with, run after each round; gets --size, --batch, "
                   "--precision, --rank, --steps and --threads, and prints JSON with "
                   "samples_per_second and peak_rss_gib last")
      ->type_name("COMMAND");
  command->footer(
      "Example: limewash bench train --json --size 256 --batch 1 --precision bf16 --rank 16\n"
      "         limewash bench train --size 256 --peer 'python3 their_step.py'");
  command->callback([flags, &action] { action = [flags] { return run(*flags); }; });
}

}  // namespace limewash::launcher
