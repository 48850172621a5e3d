#pragma once
// The subcommands of `limewash bench` that have a file of their own.

#include "launcher/commands.h"

namespace limewash::launcher {

void add_bench_train(CLI::App& bench, Action& action);

}  // namespace limewash::launcher
