// model run, model info, model tokenize.

#include <algorithm>
#include <cstdio>
#include <iostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "launcher/commands.h"
#include "models/model_run.h"
#include "models/model_tokenize.h"
#include "runtime/threads.h"

namespace limewash::launcher {

namespace {

struct ModelFlags {
  std::string part, model, inputs, outputs;
  std::vector<std::string> adapters;
  models::ModelRunOptions options;
  models::TokenizeOptions tokenize;
  bool json = false;
};

void print(const models::ModelRunReport& report, const std::string& part) {
  constexpr double kGib = 1 << 30;
  const auto& forward = report.seconds_forward;
  const nlohmann::json line = {
      {"part", part},
      {"seconds_load", report.seconds_load},
      {"seconds_first_forward", forward.front()},
      {"seconds_forward", *std::min_element(forward.begin(), forward.end())},
      {"peak_rss_gib", static_cast<double>(report.peak_bytes) / kGib}};
  std::printf("%s\n", line.dump().c_str());
}

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
                  flags->adapters,
                  "A folder of adapter files, a checkpoint or a run; or one file: a LoRA of any "
                  "layout, an IP-Adapter (.safetensors, .bin); several times for several "
                  "IP-Adapters")
      ->allow_extra_args(false);
  run->add_option("--inputs",
                  flags->inputs,
                  "safetensors file, tensors named as diffusers names its arguments")
      ->required();
  run->add_option("--outputs", flags->outputs, "safetensors file to write")->required();
  run->add_option("--precision", flags->options.precision, "Of weights and activations")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  run->add_flag("--gradients",
                flags->options.gradients,
                "unet with --adapter: also back-propagate the input grad_sample; outputs "
                "grad.NAME for each tensor of the adapter");
  run->add_option("--repeat", flags->options.repeat, "Compute that often")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  run->add_flag("--json", flags->json, "Print times and peak memory as one line of JSON");
  run->footer(
      "Example: limewash model run unet --model models/limewash-tiny --inputs x.safetensors "
      "--outputs y.safetensors");
  run->callback([flags, &action] {
    action = [flags] {
      configure_threads(0);
      const auto report = models::run_model_part(flags->part,
                                                 flags->model,
                                                 {flags->adapters.begin(), flags->adapters.end()},
                                                 flags->inputs,
                                                 flags->outputs,
                                                 flags->options);
      if (flags->json) print(report, flags->part);
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

  auto* tokenize = model->add_subcommand("tokenize", "The token ids of texts from standard input");
  tokenize
      ->add_option("--model", flags->model, "A diffusers folder, or the folder of its tokenizer")
      ->required();
  tokenize->add_flag("--json", flags->tokenize.json, "Each line is a JSON string");
  tokenize->add_flag("--padded",
                     flags->tokenize.padded,
                     "Add start token, end token and padding, as the text encoder takes them");
  tokenize->footer(
      "Each line is a text, and gives a line with a JSON list of ids.\n"
      "Example: echo 'a sage wall' | limewash model tokenize --model models/limewash-tiny");
  tokenize->callback([flags, &action] {
    action = [flags] {
      models::tokenize_lines(flags->model, flags->tokenize, std::cin, std::cout);
      return 0;
    };
  });
}

}  // namespace limewash::launcher
