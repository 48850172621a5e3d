// The limewash program: parse the command line, run the command, turn failures into exit statuses.

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include "launcher/commands.h"
#include "runtime/error.h"
#include "runtime/log.h"
#include "runtime/nearest_word.h"

namespace {

/// This program's file, to start more ranks of it.
std::string program_path(const char* invoked_as) {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string(invoked_as) : path.string();
}

/// CLI11 says of a mistyped command only that one is missing. "" when all is well.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  const CLI::App* parent = &app;
  std::string path = "limewash";
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    std::vector<std::string> known;
    const CLI::App* next = nullptr;
    for (const CLI::App* command : parent->get_subcommands([](const CLI::App*) { return true; })) {
      known.push_back(command->get_name());
      if (command->get_name() == word) next = command;
    }
    if (known.empty() || word.starts_with("-")) return "";
    if (next == nullptr) {
      const auto near = limewash::nearest_word(word, known);
      std::string list;
      for (const auto& name : known) list += (list.empty() ? "" : ", ") + name;
      return path + ": unknown command '" + word + "'" +
             (near ? " (did you mean " + *near + "?)" : "") + "; there are: " + list;
    }
    path += " " + word;
    parent = next;
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace limewash;
  // LibTorch takes its large tensors in huge pages: activations come and go at every step, and page
  // faults would cost a tenth of it.
  setenv("THP_MEM_ALLOC_ENABLE", "1", 0);
  configure_logging("info");
  CLI::App app(
      "Trains Stable Diffusion inpainting adapters that repaint a wall in the colour of a "
      "reference.",
      "limewash");
  app.set_version_flag("--version", std::string("limewash 0.1.0"));
  app.require_subcommand(1);
  launcher::Action action;
  launcher::add_synthesize(app, action);
  launcher::add_prepare(app, action);
  launcher::add_inspect(app, action);
  launcher::add_merge(app, action);
  launcher::add_train(app, action);
  launcher::add_launch(app, action, program_path(argv[0]));
  launcher::add_metrics(app, action);
  launcher::add_evaluate(app, action);
  launcher::add_model(app, action);
  launcher::add_import(app, action);
  launcher::add_export(app, action);
  launcher::add_bench(app, action, program_path(argv[0]));
  launcher::add_runs(app, action);
  launcher::add_doctor(app, action, program_path(argv[0]));
  if (argc == 1) {
    std::cerr << app.help();
    return kExitUsage;
  }
  if (const std::string problem = unknown_command(app, argc, argv); !problem.empty()) {
    spdlog::error("{}", problem);
    return kExitUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  try {
    return action();
  } catch (const ConfigError& error) {
    spdlog::error("{}", error.what());
    return kExitUsage;
  } catch (const std::bad_alloc&) {
    spdlog::error("out of memory: lower training.micro_batch, prepare.size or evaluation.batch");
    return kExitFailed;
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
    return kExitFailed;
  }
}
