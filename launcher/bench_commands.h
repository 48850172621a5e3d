#pragma once
// The subcommands of `limewash bench` that have a file of their own.

#include <string>

#include "launcher/commands.h"
#include "trainer/train_bench.h"

namespace limewash::launcher {

/// The options of the training that is measured: its base, size, batch, precision, LoRA, steps
/// (`steps_help`: which of them count), threads and device.
void add_training_options(CLI::App& command,
                          trainer::TrainBenchOptions& options,
                          const char* steps_help);

void add_bench_train(CLI::App& bench, Action& action);
/// `program`: this one's file, of which it starts more.
void add_bench_scaling(CLI::App& bench, Action& action, const std::string& program);

}  // namespace limewash::launcher
