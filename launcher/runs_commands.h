#pragma once
// The subcommands of `limewash runs`, one file each.

#include "launcher/commands.h"

namespace limewash::launcher {

void add_runs_list(CLI::App& runs, Action& action);
void add_runs_show(CLI::App& runs, Action& action);
void add_runs_compare(CLI::App& runs, Action& action);
void add_runs_best(CLI::App& runs, Action& action);
void add_runs_sync(CLI::App& runs, Action& action);
void add_runs_replay(CLI::App& runs, Action& action);
void add_runs_repair(CLI::App& runs, Action& action);

}  // namespace limewash::launcher
