#include "launcher/commands.h"

#include <CLI/CLI.hpp>

namespace limewash::launcher {

void add_common_flags(CLI::App& command, CommonFlags& flags, bool with_config) {
  if (with_config) {
    command.add_option("--config", flags.config, "YAML file")->type_name("FILE");
    command
        .add_option_function<std::vector<std::string>>(
            "--set",
            [&flags](const std::vector<std::string>& values) {
              flags.overrides.insert(flags.overrides.end(), values.begin(), values.end());
            },
            "Lay section.key=value over the file; may be repeated")
        ->type_name("KEY=VALUE")
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false);
  }
  command.add_flag("--json", flags.json, "Print the result as one line of JSON");
}

void add_alias(CLI::App& command,
               CommonFlags& flags,
               const std::string& flag,
               const std::string& key,
               const std::string& help) {
  command
      .add_option_function<std::string>(
          flag,
          [&flags, key](const std::string& value) { flags.overrides.push_back(key + "=" + value); },
          help)
      ->type_name(key);
}

}  // namespace limewash::launcher
