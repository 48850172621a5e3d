// synthesize and prepare.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "launcher/commands.h"
#include "launcher/config.h"
#include "models/mask_quality_net.h"
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

namespace {

struct PrepareFlags : CommonFlags {
  data::PrepareMode mode;
};

void print_report(const PrepareFlags& flags,
                  const data::PrepareReport& report,
                  const std::string& out) {
  if (flags.json) {
    nlohmann::ordered_json line = {{"photos", report.photos},
                                   {"kept", report.kept},
                                   {"rejected", report.rejected},
                                   {"seconds", report.seconds},
                                   {"photos_per_second", report.photos_per_second}};
    line.update(report.summary.to_json());
    std::printf("%s\n",
                line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return;
  }
  std::printf("%lld of %lld photos kept in %.1f s: %s\n",
              static_cast<long long>(report.kept),
              static_cast<long long>(report.photos),
              report.seconds,
              flags.mode.dry_run ? "nothing written" : out.c_str());
  if (!flags.mode.dry_run) return;
  std::printf("%s", report.summary.to_text().c_str());
  for (const auto& [reason, count] : report.rejected)
    std::printf("  rejected %9lld  %s\n", static_cast<long long>(count), reason.c_str());
}

}  // namespace

namespace {

/// The trained mask classifier for `prepare`; nothing where none is configured.
data::MaskScorer mask_scorer(const std::string& folder) {
  if (folder.empty()) return nullptr;
  const auto net = std::make_shared<const models::MaskQualityNet>(folder);
  return [net](const data::Image& photo, const data::Mask& mask) {
    return net->score(photo.pixels, mask.pixels, photo.height, photo.width);
  };
}

}  // namespace

void add_prepare(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "prepare", "Turn photos and masks into shards, dropping what can't be used");
  auto flags = std::make_shared<PrepareFlags>();
  add_common_flags(*command, *flags);
  add_alias(*command, *flags, "--images", "prepare.images", "Folder of photos");
  add_alias(*command, *flags, "--masks", "prepare.masks", "Folder of wall masks");
  add_alias(*command, *flags, "--out", "prepare.out", "Dataset to write");
  add_alias(*command, *flags, "--size", "prepare.size", "Pixels of a side");
  command->add_flag("--append", flags->mode.append, "Add photos that the dataset does not know");
  command->add_flag("--dry-run", flags->mode.dry_run, "Report what would be kept; write nothing");
  command->footer(
      "Example: limewash prepare --images photos --masks masks --out dataset --size 512");
  command->callback([flags, &action] {
    action = [flags] {
      const auto config = load_config(flags->config, flags->overrides);
      config.prepare.validate();
      install_stop_signals();
      const auto report =
          data::prepare(config.prepare, mask_scorer(config.prepare.quality_model), flags->mode);
      print_report(*flags, report, config.prepare.out);
      return report.stopped ? kExitStopped : kExitDone;
    };
  });
}

}  // namespace limewash::launcher
