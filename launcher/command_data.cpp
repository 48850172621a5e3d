// synthesize and prepare.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "launcher/commands.h"
#include "launcher/config.h"
#include "runtime/error.h"
#include "runtime/stop_signal.h"

namespace limewash::launcher {

void add_synthesize(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("synthesize", "Render procedural rooms with exact masks");
  auto flags = std::make_shared<CommonFlags>();
  add_common_flags(*command, *flags);
  add_alias(*command, *flags, "--out", "synthesize.out", "Folder to write");
  add_alias(*command, *flags, "--count", "synthesize.count", "Rooms to render");
  add_alias(*command, *flags, "--size", "synthesize.size", "Pixels of a side");
  add_alias(*command, *flags, "--seed", "synthesize.seed", "Of every random draw");
  command->footer("Example: limewash synthesize --out rooms --count 200 --size 128");
  command->callback([flags, &action] {
    action = [flags] {
      const auto config = load_config(flags->config, flags->overrides);
      config.synthesize.validate();
      install_stop_signals();
      const auto report = data::synthesize(config.synthesize);
      if (flags->json) {
        const nlohmann::json line = {{"rooms", report.rooms}, {"seconds", report.seconds}};
        std::printf("%s\n", line.dump().c_str());
      } else {
        std::printf("%lld rooms in %.1f s: %s\n",
                    static_cast<long long>(report.rooms),
                    report.seconds,
                    config.synthesize.out.c_str());
      }
      return 0;
    };
  });
}

void add_prepare(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "prepare", "Turn photos and masks into shards, dropping what can't be used");
  auto flags = std::make_shared<CommonFlags>();
  add_common_flags(*command, *flags);
  add_alias(*command, *flags, "--images", "prepare.images", "Folder of photos");
  add_alias(*command, *flags, "--masks", "prepare.masks", "Folder of wall masks");
  add_alias(*command, *flags, "--out", "prepare.out", "Dataset to write");
  add_alias(*command, *flags, "--size", "prepare.size", "Pixels of a side");
  command->footer(
      "Example: limewash prepare --images photos --masks masks --out dataset --size 512");
  command->callback([flags, &action] {
    action = [flags] {
      const auto config = load_config(flags->config, flags->overrides);
      config.prepare.validate();
      install_stop_signals();
      const auto report = data::prepare(config.prepare);
      if (flags->json) {
        const nlohmann::json line = {{"photos", report.photos},
                                     {"kept", report.kept},
                                     {"rejected", report.rejected},
                                     {"seconds", report.seconds},
                                     {"photos_per_second", report.photos_per_second}};
        std::printf("%s\n", line.dump().c_str());
      } else {
        std::printf("%lld of %lld photos kept in %.1f s: %s\n",
                    static_cast<long long>(report.kept),
                    static_cast<long long>(report.photos),
                    report.seconds,
                    config.prepare.out.c_str());
      }
      return report.stopped ? kExitStopped : kExitDone;
    };
  });
}

}  // namespace limewash::launcher
