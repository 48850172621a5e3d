// runs: local runs listed, shown, compared and shipped.

#include <CLI/CLI.hpp>

#include "launcher/runs_commands.h"

namespace limewash::launcher {

void add_runs(CLI::App& app, Action& action) {
  auto* runs = app.add_subcommand("runs",
                                  "List, show and compare local runs; find the best; ship, replay "
                                  "and repair their journals");
  runs->require_subcommand(1);
  add_runs_list(*runs, action);
  add_runs_show(*runs, action);
  add_runs_compare(*runs, action);
  add_runs_best(*runs, action);
  add_runs_sync(*runs, action);
  add_runs_replay(*runs, action);
  add_runs_repair(*runs, action);
}

}  // namespace limewash::launcher
