// runs show, runs sync.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "launcher/commands.h"
#include "launcher/run_table.h"
#include "runtime/error.h"
#include "tracking/run_recorder.h"

namespace limewash::launcher {

namespace {

struct RunsFlags {
  std::string folder;
  tracking::TrackingOptions tracking;
  bool json = false;
};

}  // namespace

void add_runs(CLI::App& app, Action& action) {
  auto* runs = app.add_subcommand("runs", "Show local runs; ship their journals to a tracker");
  runs->require_subcommand(1);
  auto flags = std::make_shared<RunsFlags>();

  auto* show = runs->add_subcommand("show", "What a run came to");
  show->add_option("folder", flags->folder, "The run's folder")->required()->type_name("RUN");
  show->add_flag("--json", flags->json, "Print summary.json as one line");
  show->footer("Example: limewash runs show runs/demo");
  show->callback([flags, &action] {
    action = [flags] {
      const auto summary = read_run_summary(flags->folder);
      std::printf("%s\n",
                  flags->json ? summary.dump().c_str() : run_table(flags->folder, summary).c_str());
      return 0;
    };
  });

  auto* sync = runs->add_subcommand("sync", "Ship what a run's journals hold to MLflow");
  sync->add_option("folder", flags->folder, "The run's folder")->required()->type_name("RUN");
  sync->add_option("--uri", flags->tracking.uri, "The tracker; default: MLFLOW_TRACKING_URI");
  sync->add_option("--experiment", flags->tracking.experiment, "The experiment's name");
  sync->add_flag("--json", flags->json, "Print the result as one line of JSON");
  sync->footer("Example: limewash runs sync runs/demo --uri http://127.0.0.1:5000");
  sync->callback([flags, &action] {
    action = [flags] {
      flags->tracking.validate();
      const auto shipped = tracking::sync_run(flags->tracking, flags->folder);
      if (flags->json) {
        std::printf("{\"shipped\":%lld}\n", static_cast<long long>(shipped));
      } else {
        std::printf("%lld entries shipped\n", static_cast<long long>(shipped));
      }
      return 0;
    };
  });
}

}  // namespace limewash::launcher
