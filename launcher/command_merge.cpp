// merge: several datasets become one.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "data/merge_datasets.h"
#include "launcher/commands.h"
#include "runtime/error.h"
#include "runtime/stop_signal.h"

namespace limewash::launcher {

namespace {

struct MergeFlags {
  std::vector<std::string> folders;
  std::string out;
  bool prefix = false, json = false;
};

}  // namespace

void add_merge(CLI::App& app, Action& action) {
  auto* command =
      app.add_subcommand("merge", "Make one dataset of several that were prepared alike");
  auto flags = std::make_shared<MergeFlags>();
  command->add_option("folders", flags->folders, "The datasets, in order")
      ->required()
      ->expected(2, -1)
      ->type_name("DATASET");
  command->add_option("--out", flags->out, "Dataset to write")->required()->type_name("FOLDER");
  command->add_flag("--prefix", flags->prefix, "Put the dataset's name before every photo's id");
  command->add_flag("--json", flags->json, "Print the result as one line of JSON");
  command->footer("Example: limewash merge berlin hamburg --out both");
  command->callback([flags, &action] {
    action = [flags] {
      install_stop_signals();
      const std::vector<std::filesystem::path> folders(flags->folders.begin(),
                                                       flags->folders.end());
      const auto report = data::merge_datasets(folders, flags->out, flags->prefix);
      if (flags->json) {
        const nlohmann::json line = {{"samples", report.samples},
                                     {"shards", report.shards},
                                     {"rejections", report.rejections}};
        std::printf("%s\n", line.dump().c_str());
      } else {
        std::printf("%lld samples in %lld shards: %s\n",
                    static_cast<long long>(report.samples),
                    static_cast<long long>(report.shards),
                    flags->out.c_str());
      }
      return report.stopped ? kExitStopped : kExitDone;
    };
  });
}

}  // namespace limewash::launcher
