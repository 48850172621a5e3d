// bench data.

#include <cstdio>
#include <sstream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "data/data_bench.h"
#include "launcher/bench_commands.h"
#include "launcher/commands.h"
#include "launcher/config.h"
#include "runtime/error.h"
#include "runtime/stop_signal.h"

namespace limewash::launcher {

namespace {

struct BenchDataFlags : CommonFlags {
  data::DataBenchOptions bench;
  std::string peer;
};

nlohmann::json to_json(const data::DataBenchReport& report) {
  const auto number = [](const std::optional<double>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  };
  nlohmann::json line = {
      {"workers", report.workers},
      {"photos", report.photos},
      {"prepare_photos_per_second", number(report.prepare_photos_per_second)},
      {"raw_samples_per_second", report.raw_samples_per_second},
      {"cached_samples_per_second", report.cached_samples_per_second},
      {"cached_in_memory_samples_per_second", report.cached_in_memory_samples_per_second},
      {"cached_sample_bytes", report.cached_sample_bytes},
      {"loads", report.loads},
      {"rss_growth_mib", report.rss_growth_mib},
      {"peak_rss_mib", report.peak_rss_mib}};
  if (report.peer_photos_per_second) {
    line["peer_photos_per_second"] = *report.peer_photos_per_second;
    line["prepare_times_peer"] = *report.prepare_photos_per_second / *report.peer_photos_per_second;
  }
  return line;
}

void print_text(const data::DataBenchReport& report) {
  const auto line = [](const char* name, double value, const char* unit) {
    std::printf("%-28s %10.1f %s\n", name, value, unit);
  };
  std::printf("%-28s %10lld\n", "workers", static_cast<long long>(report.workers));
  if (report.prepare_photos_per_second)
    line("prepare", *report.prepare_photos_per_second, "photos/s");
  if (report.peer_photos_per_second) {
    line("the peer", *report.peer_photos_per_second, "photos/s");
    line("ratio", *report.prepare_photos_per_second / *report.peer_photos_per_second, "");
  }
  line("pixels, 512 x 512", report.raw_samples_per_second, "samples/s");
  line("cached, from files", report.cached_samples_per_second, "samples/s");
  line("cached, in memory", report.cached_in_memory_samples_per_second, "samples/s");
  line("memory growth", report.rss_growth_mib, "MiB");
  std::printf("  between the samples %lld and %lld; at most %.0f MiB in all\n",
              static_cast<long long>(report.loads / 10),
              static_cast<long long>(report.loads),
              report.peak_rss_mib);
}

void add_bench_data(CLI::App& bench, Action& action) {
  auto* command = bench.add_subcommand("data", "How fast photos are prepared and samples loaded");
  auto flags = std::make_shared<BenchDataFlags>();
  add_common_flags(*command, *flags);
  add_alias(*command, *flags, "--images", "prepare.images", "Photos; else rooms are rendered");
  add_alias(*command, *flags, "--masks", "prepare.masks", "Their wall masks");
  auto& options = flags->bench;
  command->add_option("--photos", options.photos, "Rooms to render; 0: don't measure prepare")
      ->capture_default_str();
  command->add_option("--samples", options.samples, "Samples of the cache that is loaded")
      ->capture_default_str();
  command->add_option("--loads", options.loads, "Samples loaded while memory is watched")
      ->capture_default_str();
  command->add_option("--workers", options.workers, "Threads; 0: one for each core")
      ->capture_default_str();
  command
      ->add_option("--peer",
                   flags->peer,
                   "Command to compare prepare with; gets --images, --masks, --out and --workers, "
                   "and prints JSON with images_per_second last")
      ->type_name("COMMAND");
  command->footer(
      "Example: limewash bench data --json\n"
      "         limewash bench data --images photos --masks masks --peer 'python3 their.py'");
  command->callback([flags, &action] {
    action = [flags] {
      auto bench_options = flags->bench;
      bench_options.prepare = load_config(flags->config, flags->overrides).prepare;
      std::istringstream words(flags->peer);
      for (std::string word; words >> word;) bench_options.peer.push_back(word);
      bench_options.validate();
      install_stop_signals();
      const auto report = data::bench_data(bench_options);
      if (report.stopped) return kExitStopped;
      if (flags->json)
        std::printf("%s\n", to_json(report).dump().c_str());
      else
        print_text(report);
      return kExitDone;
    };
  });
}

}  // namespace

void add_bench(CLI::App& app, Action& action, const std::string& program) {
  auto* bench = app.add_subcommand("bench", "Measure what this machine can do");
  bench->require_subcommand(1);
  add_bench_data(*bench, action);
  add_bench_train(*bench, action);
  add_bench_scaling(*bench, action, program);
}

}  // namespace limewash::launcher
