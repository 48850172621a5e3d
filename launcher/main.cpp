// The limewash program: parse the command line, run the command, turn failures into exit statuses.

#include <filesystem>
#include <new>

#include <CLI/CLI.hpp>
#include <spdlog/spdlog.h>

#include "launcher/commands.h"
#include "runtime/error.h"
#include "runtime/log.h"

namespace {

/// This program's file, to start more ranks of it.
std::string program_path(const char* invoked_as) {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string(invoked_as) : path.string();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace limewash;
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
  launcher::add_train(app, action);
  launcher::add_launch(app, action, program_path(argv[0]));
  launcher::add_model(app, action);
  launcher::add_runs(app, action);
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
