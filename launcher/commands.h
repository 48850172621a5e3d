#pragma once
// The commands of the program. Each adds itself to the command line; what it does lives in a
// library.

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace limewash::launcher {

/// What every command takes.
struct CommonFlags {
  std::string config;  ///< --config FILE
  std::vector<std::string>
      overrides;      ///< --set section.key=value, and flags that are aliases of keys
  bool json = false;  ///< --json: one line on stdout, nothing else there
};

/// A command's work: returns the exit status.
using Action = std::function<int()>;

/// Add `--set`, `--json` and, unless told otherwise, `--config`.
void add_common_flags(CLI::App& command, CommonFlags& flags, bool with_config = true);
/// Make `flag` an alias of the configuration key `key`.
void add_alias(CLI::App& command,
               CommonFlags& flags,
               const std::string& flag,
               const std::string& key,
               const std::string& help);

void add_synthesize(CLI::App& app, Action& action);
void add_prepare(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_merge(CLI::App& app, Action& action);
void add_metrics(CLI::App& app, Action& action);
void add_train(CLI::App& app, Action& action);
void add_launch(CLI::App& app, Action& action, const std::string& program);
void add_evaluate(CLI::App& app, Action& action);
void add_model(CLI::App& app, Action& action);
void add_import(CLI::App& app, Action& action);
void add_export(CLI::App& app, Action& action);
void add_doctor(CLI::App& app, Action& action, const std::string& program);
void add_bench(CLI::App& app, Action& action, const std::string& program);
void add_runs(CLI::App& app, Action& action);

}  // namespace limewash::launcher
