#include "models/import_checkpoint.h"

#include <cstring>
#include <optional>
#include <tuple>
#include <unistd.h>

#include <torch/torch.h>

#include "models/autoencoder_kl.h"
#include "models/clip.h"
#include "models/clip_tokenizer.h"
#include "models/noise_schedule.h"
#include "models/original_config.h"
#include "models/original_layout.h"
#include "models/precision.h"
#include "models/strict_json.h"
#include "models/unet.h"
#include "models/weights_file.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::models {

namespace {

/// Nothing: each tensor as the checkpoint has it.
std::optional<at::ScalarType> wanted_type(const std::string& precision) {
  if (precision.empty()) return std::nullopt;
  return file_type(precision);
}

/// A folder beside the final one, gone again unless it was published.
class TemporaryOutput {
 public:
  explicit TemporaryOutput(const std::filesystem::path& out) : out_(out) {
    const auto parent = out.parent_path().empty() ? "." : out.parent_path();
    path_ = parent / ("." + out.filename().string() + ".tmp-" + std::to_string(::getpid()));
    std::error_code error;
    std::filesystem::remove_all(path_, error);
    std::filesystem::create_directories(path_, error);
    if (error) throw InputError(path_.string() + ": cannot create: " + error.message());
  }
  ~TemporaryOutput() {
    std::error_code ignored;
    if (!published_) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryOutput(const TemporaryOutput&) = delete;
  TemporaryOutput& operator=(const TemporaryOutput&) = delete;

  const std::filesystem::path& path() const {
    return path_;
  }
  void publish_it() {
    for (const auto& entry : std::filesystem::directory_iterator(path_)) sync_path(entry.path());
    sync_path(path_);
    publish(path_, out_);
    published_ = true;
  }

 private:
  std::filesystem::path out_, path_;
  bool published_ = false;
};

void write_json(const std::filesystem::path& path, const nlohmann::json& value) {
  write_file_atomically(path, value.dump(2) + "\n");
}

/// One network's folder.
void write_part(const std::filesystem::path& folder,
                const std::string& stem,
                const TensorMap& tensors,
                const nlohmann::json& config,
                std::optional<at::ScalarType> type) {
  std::filesystem::create_directories(folder);
  write_json(folder / "config.json", config);
  write_safetensors(folder / (stem + ".safetensors"), tensors, {{"format", "pt"}}, type);
}

/// Each tensor of the file against the one that it was written from, as bits: a NaN equals nothing.
void compare_part(const std::filesystem::path& file,
                  const TensorMap& tensors,
                  std::optional<at::ScalarType> type) {
  const WeightsFile written = read_weights_file(file);
  bool equal = written.tensors.size() == tensors.size();
  for (auto ours = tensors.begin(), theirs = written.tensors.begin();
       equal && ours != tensors.end();
       ++ours, ++theirs) {
    const at::Tensor wanted =
        ours->second.to(type.value_or(ours->second.scalar_type())).contiguous();
    const at::Tensor& found = theirs->second;
    equal = ours->first == theirs->first && wanted.sizes() == found.sizes() &&
            wanted.scalar_type() == found.scalar_type() &&
            (wanted.numel() == 0 ||
             std::memcmp(wanted.const_data_ptr(), found.const_data_ptr(), wanted.nbytes()) == 0);
    written.drop(found);
  }
  if (!equal) {
    throw InputError(file.string() +
                     ": what was written does not read back to the same values (a failing disk?)");
  }
}

void copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::create_directories(to);
  for (const char* name : {"vocab.json",
                           "merges.txt",
                           "tokenizer.json",
                           "tokenizer_config.json",
                           "special_tokens_map.json"}) {
    if (!std::filesystem::exists(from / name)) continue;
    write_file_atomically(to / name, read_file(from / name, uint64_t{64} << 20));
  }
}

int64_t parameter_count(const TensorMap& tensors) {
  int64_t count = 0;
  for (const auto& [name, tensor] : tensors) count += tensor.numel();
  return count;
}

}  // namespace

void ImportOptions::validate() const {
  wanted_type(precision);
  if (!prediction.empty() && prediction != "epsilon" && prediction != "v_prediction") {
    throw ConfigError("--prediction is '" + prediction + "': expected epsilon or v_prediction");
  }
  if (out.filename().empty()) {
    throw ConfigError("--out is '" + out.string() + "': expected the name of a new folder");
  }
  if (std::filesystem::exists(out) &&
      !(std::filesystem::is_directory(out) && std::filesystem::is_empty(out))) {
    throw ConfigError("--out is '" + out.string() + "', which exists: expected a new folder");
  }
  if (!tokenizer.empty() && !std::filesystem::is_directory(tokenizer)) {
    throw ConfigError("--tokenizer is '" + tokenizer.string() + "': expected an existing folder");
  }
}

ImportReport import_checkpoint(const ImportOptions& options) {
  options.validate();
  torch::NoGradGuard no_grad;
  const std::string file = options.checkpoint.string();
  const OriginalCheckpoint checkpoint = translate_original_layout(
      read_weights_file(options.checkpoint).tensors, options.use_ema, file);
  const bool generation_2 = checkpoint.generation == StableDiffusionGeneration::k2;
  if (generation_2 && options.prediction.empty()) {
    throw ConfigError(
        file +
        " is a checkpoint of SD 2, which does not say what its network predicts: give "
        "--prediction v_prediction (the 768 models) or --prediction epsilon (base and "
        "inpainting)");
  }
  const nlohmann::json unet = unet_config(checkpoint, file);
  ImportReport report;
  report.prediction = options.prediction.empty() ? "epsilon" : options.prediction;
  report.generation = generation_2 ? "SD 2" : "SD 1";
  report.in_channels = unet["in_channels"].get<int64_t>();
  report.left_out = checkpoint.left_out;

  const auto type = wanted_type(options.precision);
  TemporaryOutput output(options.out);
  const auto& folder = output.path();
  const std::string diffusers_stem = "diffusion_pytorch_model", transformers_stem = "model";
  write_part(folder / "unet", diffusers_stem, checkpoint.unet, unet, type);
  write_part(folder / "vae", diffusers_stem, checkpoint.vae, vae_config(checkpoint, file), type);
  write_part(folder / "text_encoder",
             transformers_stem,
             checkpoint.text_encoder,
             text_encoder_config(checkpoint, file),
             type);
  std::filesystem::create_directories(folder / "scheduler");
  write_json(folder / "scheduler/scheduler_config.json", scheduler_config(report.prediction));
  if (!options.tokenizer.empty()) copy_tokenizer(options.tokenizer, folder / "tokenizer");
  write_json(folder / "model_index.json",
             pipeline_index(report.in_channels > 4, !options.tokenizer.empty()));

  // It counts as written once our own loaders take it, every name and shape, and every value is
  // there.
  try {
    load_unet(folder / "unet");
    load_autoencoder_kl(folder / "vae");
    const auto& text = load_clip_text_model(folder / "text_encoder")->config();
    NoiseScheduleConfig::from_json(folder / "scheduler/scheduler_config.json");
    if (!options.tokenizer.empty()) {
      ClipTokenizer::from_folder(
          folder / "tokenizer", text.vocab_size, text.max_position_embeddings);
    }
  } catch (const InputError& error) {
    throw InputError(file + ": its tensors make no network: " + error.what());
  }
  for (const auto& [part, stem, tensors] :
       {std::tuple("unet", diffusers_stem, &checkpoint.unet),
        std::tuple("vae", diffusers_stem, &checkpoint.vae),
        std::tuple("text_encoder", transformers_stem, &checkpoint.text_encoder)}) {
    compare_part(folder / part / (stem + ".safetensors"), *tensors, type);
    report.parameters += parameter_count(*tensors);
  }
  output.publish_it();
  return report;
}

}  // namespace limewash::models
