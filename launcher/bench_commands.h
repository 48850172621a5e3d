#pragma once
// The subcommands of `limewash bench` that have a file of their own.

#include <string>

#include "launcher/commands.h"

namespace limewash::launcher {

void add_bench_train(CLI::App& bench, Action& action);
/// `program`: this one's file, of which it starts more.
void add_bench_scaling(CLI::App& bench, Action& action, const std::string& program);

}  // namespace limewash::launcher
