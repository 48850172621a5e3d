// runs sync, runs replay.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "launcher/runs_commands.h"
#include "runtime/error.h"
#include "tracking/run_recorder.h"

namespace limewash::launcher {
namespace {

using nlohmann::json;

struct ShipFlags {
  std::vector<std::string> folders;
  tracking::TrackingOptions tracking;
  bool json = false;
};

using Ship = int64_t (*)(const tracking::TrackingOptions&, const std::filesystem::path&);

/// One folder after the other; a failure is said and does not keep the others back.
int ship_all(const ShipFlags& flags, Ship ship) {
  flags.tracking.validate();
  int64_t total = 0;
  json runs = json::array();
  bool failed = false;
  for (const std::string& folder : flags.folders) {
    json run = {{"folder", folder}, {"shipped", nullptr}, {"problem", nullptr}};
    try {
      const int64_t shipped = ship(flags.tracking, folder);
      total += shipped;
      run["shipped"] = shipped;
      if (!flags.json && flags.folders.size() > 1)
        std::printf("%s: %lld entries\n", folder.c_str(), static_cast<long long>(shipped));
    } catch (const InputError& error) {
      spdlog::error("{}", error.what());
      run["problem"] = error.what();
      failed = true;
    }
    runs.push_back(std::move(run));
  }
  if (flags.json) {
    const json result = {{"shipped", total}, {"runs", std::move(runs)}};
    std::printf("%s\n", result.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  } else {
    std::printf("%lld entries shipped\n", static_cast<long long>(total));
  }
  return failed ? kExitFailed : kExitDone;
}

void add_ship_command(CLI::App& runs,
                      Action& action,
                      const std::string& name,
                      const std::string& help,
                      const std::string& example,
                      Ship ship) {
  auto flags = std::make_shared<ShipFlags>();
  auto* command = runs.add_subcommand(name, help);
  command->add_option("folders", flags->folders, "Run folders")->required()->type_name("RUN");
  command->add_option("--uri", flags->tracking.uri, "The tracker; default: MLFLOW_TRACKING_URI")
      ->type_name("URI");
  command->add_option("--experiment", flags->tracking.experiment, "The experiment's name")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print the result as one line of JSON");
  command->footer("Example: " + example);
  command->callback(
      [flags, ship, &action] { action = [flags, ship] { return ship_all(*flags, ship); }; });
}

}  // namespace

void add_runs_sync(CLI::App& runs, Action& action) {
  add_ship_command(runs,
                   action,
                   "sync",
                   "Ship what the journals of runs hold to MLflow",
                   "limewash runs sync runs/a runs/b --uri http://127.0.0.1:5000",
                   tracking::sync_run);
}

void add_runs_replay(CLI::App& runs, Action& action) {
  add_ship_command(runs,
                   action,
                   "replay",
                   "Ship whole runs into another MLflow server, whatever was shipped before",
                   "limewash runs replay runs/demo --uri http://127.0.0.1:5001",
                   tracking::replay_run);
}

}  // namespace limewash::launcher
