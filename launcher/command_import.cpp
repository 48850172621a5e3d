// import.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "launcher/commands.h"
#include "models/import_checkpoint.h"
#include "models/strict_json.h"
#include "runtime/threads.h"

namespace limewash::launcher {

namespace {

struct ImportFlags {
  std::string checkpoint, out, tokenizer;
  models::ImportOptions options;
  bool json = false;
};

void print(const models::ImportReport& report, const ImportFlags& flags) {
  if (flags.json) {
    const nlohmann::json line = {{"out", flags.out},
                                 {"generation", report.generation},
                                 {"in_channels", report.in_channels},
                                 {"prediction", report.prediction},
                                 {"parameters", report.parameters},
                                 {"left_out", report.left_out}};
    const auto text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    std::printf("%s\n", text.c_str());
    return;
  }
  std::printf("%s, %lld channels, %s, %lld parameters: %s\n",
              report.generation.c_str(),
              static_cast<long long>(report.in_channels),
              report.prediction.c_str(),
              static_cast<long long>(report.parameters),
              flags.out.c_str());
  if (!report.left_out.empty()) {
    std::printf("%zu tensors belong to no network and were left out, as %s\n",
                report.left_out.size(),
                models::printable(report.left_out.front()).c_str());
  }
  if (flags.tokenizer.empty()) {
    std::printf("no tokenizer: copy that of the same Stable Diffusion version into %s/tokenizer\n",
                flags.out.c_str());
  }
}

}  // namespace

void add_import(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand(
      "import", "Turn a single-file Stable Diffusion checkpoint into a diffusers folder");
  auto flags = std::make_shared<ImportFlags>();
  command->add_option("--checkpoint", flags->checkpoint, "A .safetensors or .ckpt file")
      ->required();
  command->add_option("--out", flags->out, "Folder to write")->required();
  command->add_option("--tokenizer", flags->tokenizer, "Folder of the tokenizer to copy");
  command->add_option("--precision",
                      flags->options.precision,
                      "fp16, bf16 or fp32; without it as the checkpoint has it");
  command->add_option("--prediction",
                      flags->options.prediction,
                      "epsilon or v_prediction: what an SD 2 network predicts");
  command->add_flag("--ema", flags->options.use_ema, "Take the UNet's averaged weights");
  command->add_flag("--json", flags->json, "Print the result as one line of JSON");
  command->footer("Example: limewash import --checkpoint sd-v1-5-inpainting.ckpt --out sd15");
  command->callback([flags, &action] {
    action = [flags] {
      configure_threads(0);
      flags->options.checkpoint = flags->checkpoint;
      const auto out = std::filesystem::path(flags->out).lexically_normal();
      flags->options.out = out.has_filename() ? out : out.parent_path();
      flags->options.tokenizer = flags->tokenizer;
      print(models::import_checkpoint(flags->options), *flags);
      return 0;
    };
  });
}

}  // namespace limewash::launcher
