// export.

#include <cstdio>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "launcher/commands.h"
#include "models/adapter_export.h"
#include "runtime/threads.h"

namespace limewash::launcher {

namespace {

struct ExportFlags {
  std::string adapter, out, model;
  models::AdapterExportOptions options;
  bool json = false;
};

void print(const models::AdapterExportReport& report, const ExportFlags& flags) {
  if (flags.json) {
    const nlohmann::json line = {{"out", flags.out},
                                 {"format", flags.options.format},
                                 {"precision", flags.options.precision},
                                 {"tensors", report.tensors},
                                 {"parameters", report.parameters}};
    const auto text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    std::printf("%s\n", text.c_str());
    return;
  }
  std::printf("%s: %lld tensors, %lld parameters, read back and compared\n",
              flags.out.c_str(),
              static_cast<long long>(report.tensors),
              static_cast<long long>(report.parameters));
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  auto* command =
      app.add_subcommand("export", "Write an adapter's parts as the files other programs read");
  auto flags = std::make_shared<ExportFlags>();
  command
      ->add_option("--adapter",
                   flags->adapter,
                   "An adapter's folder or file, a checkpoint, or a run; a LoRA of any layout")
      ->required();
  command->add_option("--out", flags->out, "safetensors file to write")->required();
  command
      ->add_option("--format",
                   flags->options.format,
                   "peft (diffusers), kohya (ComfyUI, AUTOMATIC1111) or ip-adapter")
      ->required()
      ->check(CLI::IsMember({"peft", "kohya", "ip-adapter"}));
  command->add_flag("--fold-alpha",
                    flags->options.fold_alpha,
                    "Multiply alpha / rank into B, for readers that ignore alpha");
  command->add_option("--precision", flags->options.precision, "Of the written tensors")
      ->check(CLI::IsMember({"fp32", "fp16", "bf16"}))
      ->capture_default_str();
  command->add_option(
      "--model", flags->model, "The base model, which a LoRA in kohya's layout is read with");
  command->add_flag("--json", flags->json, "Print the result as one line of JSON");
  command->footer(
      "Example: limewash export --adapter runs/demo --out lora.safetensors --format kohya");
  command->callback([flags, &action] {
    action = [flags] {
      configure_threads(0);
      flags->options.adapter = flags->adapter;
      flags->options.out = flags->out;
      flags->options.model = flags->model;
      print(models::export_adapter(flags->options), *flags);
      return 0;
    };
  });
}

}  // namespace limewash::launcher
