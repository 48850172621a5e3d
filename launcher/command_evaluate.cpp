// evaluate: the evaluation protocol on adapters, the base alone, and what needs no network.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "launcher/commands.h"
#include "launcher/evaluation_job.h"
#include "launcher/rank_session.h"
#include "runtime/error.h"
#include "runtime/rank_gpu.h"
#include "runtime/stop_signal.h"

namespace limewash::launcher {

namespace {

struct EvaluateFlags : CommonFlags {
  EvaluationRequest request;
  bool without_controls = false;
};

int evaluate(EvaluateFlags flags) {
  auto& request = flags.request;
  request.controls = !flags.without_controls;
  std::string file = flags.config;
  if (file.empty()) file = config_of_adapters(request.adapters).string();
  request.hole_is_configured = !file.empty();
  for (const auto& text : flags.overrides)
    request.hole_is_configured |= text.starts_with("reference.hole");
  const auto config = load_config(file, flags.overrides);
  install_stop_signals();
  return run_on_ranks(
      config.run.threads,
      [&](Communicator& communicator) {
        const auto comparison = run_evaluation_job(config, request, communicator);
        if (communicator.rank() != 0) return kExitDone;
        if (flags.json) {
          const auto replace = nlohmann::json::error_handler_t::replace;
          std::printf("%s\n",
                      eval::comparison_json(comparison).dump(-1, ' ', false, replace).c_str());
        } else {
          std::printf("%s\nreport    %s/report.html\n",
                      eval::comparison_table(comparison).c_str(),
                      request.out.c_str());
        }
        std::fflush(stdout);
        return kExitDone;
      },
      rank_device(config.run.device));
}

}  // namespace

void add_evaluate(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "evaluate", "Paint and measure by the protocol: adapters, the base alone, a recolouring");
  auto flags = std::make_shared<EvaluateFlags>();
  add_common_flags(*command, *flags);
  auto& request = flags->request;
  command
      ->add_option("--adapter",
                   request.adapters,
                   "A checkpoint, a run, an adapter's folder or file; may be repeated: one column "
                   "each. Without --config the first run's configuration is taken")
      ->type_name("PATH")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--lora", request.lora, "A LoRA file, alone or with --ip-adapter")
      ->type_name("FILE");
  command->add_option("--ip-adapter", request.ip_adapter, "An IP-Adapter file")->type_name("FILE");
  command
      ->add_option("--method",
                   request.methods,
                   "base: the base alone; recolor: no network; floor: the target through the VAE")
      ->check(CLI::IsMember({"base", "recolor", "floor"}))
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  add_alias(*command, *flags, "--data", "data.validation", "Dataset to evaluate on");
  add_alias(*command, *flags, "--model", "base.model", "Folder of the base model");
  command
      ->add_option("--split",
                   request.split,
                   "Side of the dataset; otherwise validation, or all where there are no sides")
      ->check(CLI::IsMember({"validation", "test", "train", "all"}));
  command->add_option("--out", request.out, "Folder to write")->required()->type_name("FOLDER");
  command->add_flag(
      "--without-controls", flags->without_controls, "Leave out what was not asked for");
  command->footer(
      "Example: limewash evaluate --adapter runs/demo --method base --out evaluations/demo");
  command->callback([flags, &action] { action = [flags] { return evaluate(*flags); }; });
}

}  // namespace limewash::launcher
