// model run, model info.

#include <cstdio>

#include <CLI/CLI.hpp>

#include "launcher/commands.h"
#include "models/model_run.h"
#include "runtime/threads.h"

namespace limewash::launcher {

namespace {

struct ModelFlags {
  std::string part, model, adapter, inputs, outputs;
  bool json = false;
};

}  // namespace

void add_model(CLI::App& app, Action& action) {
  auto* model = app.add_subcommand("model", "Look into a base model; run one of its networks");
  model->require_subcommand(1);
  auto flags = std::make_shared<ModelFlags>();

  auto* run = model->add_subcommand("run", "Run one network on given tensors");
  run->add_option("part",
                  flags->part,
                  "unet, vae-encode, vae-decode, text-encoder, image-encoder or ip-projection")
      ->required();
  run->add_option("--model", flags->model, "A diffusers folder, or the folder of the one network")
      ->required();
  run->add_option("--adapter",
                  flags->adapter,
                  "Folder of pytorch_lora_weights.safetensors and ip_adapter.safetensors");
  run->add_option("--inputs",
                  flags->inputs,
                  "safetensors file, tensors named as diffusers names its arguments")
      ->required();
  run->add_option("--outputs", flags->outputs, "safetensors file to write")->required();
  run->footer(
      "Example: limewash model run unet --model models/limewash-tiny --inputs x.safetensors "
      "--outputs y.safetensors");
  run->callback([flags, &action] {
    action = [flags] {
      configure_threads(0, 1);
      models::run_model_part(
          flags->part, flags->model, flags->adapter, flags->inputs, flags->outputs);
      return 0;
    };
  });

  auto* info = model->add_subcommand("info", "What a base model folder holds");
  info->add_option("folder", flags->model, "A diffusers folder")->required();
  info->add_flag("--json", flags->json, "Print one line of JSON");
  info->footer("Example: limewash model info models/limewash-tiny");
  info->callback([flags, &action] {
    action = [flags] {
      const auto text = flags->json ? models::model_info_json(flags->model)
                                    : models::model_info_text(flags->model);
      std::printf("%s\n", text.c_str());
      return 0;
    };
  });
}

}  // namespace limewash::launcher
