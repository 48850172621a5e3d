#include "launcher/training_memory.h"

#include <algorithm>

#include <c10/core/ScalarTypeToTypeMeta.h>
#include <nlohmann/json.hpp>

#include "data/dataset.h"
#include "data/latent_piece.h"
#include "models/clip.h"
#include "models/model_folder.h"
#include "models/model_run.h"
#include "models/precision.h"
#include "trainer/stages.h"

namespace limewash::launcher {

namespace {

using nlohmann::json;

/// Count the parameters of the networks of `folder`, leaving out the part that is not used.
void add_parameters(TrainingSizes& sizes, const std::filesystem::path& folder, const char* unused) {
  const json parts = json::parse(models::model_info_json(folder)).at("parts");
  for (const auto& [name, part] : parts.items()) {
    if (name == unused) continue;
    sizes.parameters += part.at("parameters").get<int64_t>();
    if (name == "unet") sizes.unet_parameters = part.at("parameters").get<int64_t>();
    const json& by_type = part.at("parameters_by_dtype");
    // Kernels are held in another order than in the file.
    const json& reordered = part.at("convolution_parameters_by_dtype");
    const auto mapped = [&](const char* type) {
      return by_type.value(type, int64_t{0}) - reordered.value(type, int64_t{0});
    };
    sizes.mapped_fp32 += mapped("Float");
    sizes.mapped_bf16 += mapped("BFloat16");
    if (name == "unet") sizes.unet_mapped_fp32 = mapped("Float");
    if (name == "vae") {
      sizes.downscale = part.at("downscale").get<int64_t>();
      sizes.latent_channels = part.at("latent_channels").get<int64_t>();
    }
    if (name == "text_encoder") {
      sizes.text_tokens = part.at("max_position_embeddings").get<int64_t>();
    }
  }
}

void add_reference(TrainingSizes& sizes,
                   const Config& config,
                   const std::filesystem::path& encoder_folder) {
  const auto encoder = models::CLIPVisionConfig::from_json(encoder_folder / "config.json");
  if (config.adapter.ip_adapter.reference_features() == models::ReferenceFeatures::kImageEmbeds) {
    sizes.embedding_shape = {encoder.projection_dim};
  } else {
    const int64_t patches = encoder.image_size / encoder.patch_size;
    sizes.embedding_shape = {patches * patches + 1, encoder.encoder.hidden_size};
  }
  sizes.adapter = models::count_adapter_parameters(
      sizes.unet_config, config.adapter, sizes.embedding_shape.back());
}

void add_dataset(TrainingSizes& sizes, const Config& config) {
  const data::Dataset train(config.data.train);
  data::LatentShape shape;
  shape.recolorings = config.data.recolorings;
  shape.channels = sizes.latent_channels;
  shape.variants = config.data.variants;
  if (config.reference.bank == 0) shape.embedding_shape = sizes.embedding_shape;
  sizes.samples = train.size();
  for (const auto& bucket : train.buckets()) {
    if (bucket.height * bucket.width > sizes.height * sizes.width) {
      sizes.height = bucket.height;
      sizes.width = bucket.width;
    }
    shape.height = bucket.height / sizes.downscale;
    shape.width = bucket.width / sizes.downscale;
    sizes.cache_bytes += shape.bytes(static_cast<int64_t>(bucket.samples.size()));
  }
}

bool changes_unet(const Config& config) {
  for (const auto& stage : trainer::stages_of(config.training, config.optimizer))
    if (trainer::trains(stage.name, "unet")) return true;
  return false;
}

/// What learns at once, in the stage that trains most.
int64_t trained_parameters(const TrainingSizes& sizes, const Config& config) {
  int64_t most = 0;
  for (const auto& stage : trainer::stages_of(config.training, config.optimizer)) {
    int64_t count = 0;
    if (trainer::trains(stage.name, "lora")) count += sizes.adapter.lora;
    if (trainer::trains(stage.name, "ip_adapter")) count += sizes.adapter.ip_adapter;
    if (trainer::trains(stage.name, "unet")) count += sizes.unet_parameters;
    most = std::max(most, count);
  }
  return most;
}

/// What is held when the cache is made and when the run is evaluated, whichever is more.
int64_t inference_memory(const TrainingSizes& sizes,
                         const Config& config,
                         models::TrainingStepShape shape) {
  const int64_t pictures = std::max<int64_t>(
      1, models::kPixelsAtOnce / std::max<int64_t>(1, sizes.height * sizes.width));
  const auto vae = models::estimate_autoencoder_memory(
      sizes.vae, pictures, sizes.height, sizes.width, shape.type);
  int64_t most = vae.encode;
  if (!config.data.validation.empty() && config.evaluation.every > 0) {
    shape.batch = config.evaluation.batch * (config.evaluation.guidance == 1.0 ? 1 : 2);
    most = std::max(
        {most, vae.decode, models::estimate_unet_inference_memory(sizes.unet_config, shape)});
  }
  return most;
}

/// What the loss holds of the pictures or crops that it decodes.
int64_t decoded_memory(const TrainingSizes& sizes, const Config& config, c10::ScalarType type) {
  const auto& loss = config.loss;
  const bool pictures = loss.color.weight > 0 && loss.color.path == "picture";
  auto others = loss;
  if (pictures) others.color.weight = 0;
  const auto folder = loss.decoder.empty() ? sizes.vae : std::filesystem::path(loss.decoder);
  const auto of = [&](int64_t height, int64_t width) {
    return models::estimate_autoencoder_memory(
               folder, config.training.micro_batch, height, width, type)
        .decode_backward;
  };
  const int64_t side = loss.crop * sizes.downscale;
  return (pictures ? of(sizes.height, sizes.width) : 0) +
         (others.decodes() ? of(std::min(side, sizes.height), std::min(side, sizes.width)) : 0);
}

std::string ranks_text(const TrainingMemory& memory) {
  return memory.ranks == 1 ? ""
                           : "; " + std::to_string(memory.ranks) +
                                 " ranks on this host: " + bytes_text(memory.host());
}

}  // namespace

TrainingSizes read_training_sizes(const Config& config) {
  TrainingSizes sizes;
  const auto base = models::resolve_model_folder(config.base.model);
  sizes.unet = base / "unet";
  sizes.vae = base / "vae";
  sizes.unet_config = models::UNetConfig::from_json(sizes.unet / "config.json");
  const bool own_encoder = config.base.image_encoder.empty();
  const auto encoder = own_encoder ? base / "image_encoder"
                                   : models::resolve_model_folder(config.base.image_encoder);
  add_parameters(sizes, base, own_encoder ? "" : "image_encoder");
  if (!own_encoder) add_parameters(sizes, encoder, "");
  add_reference(sizes, config, encoder);
  add_dataset(sizes, config);
  return sizes;
}

int64_t TrainingMemory::host() const {
  return ranks * (rank.total() - shared) + shared;
}

TrainingMemory estimate_memory(const TrainingSizes& sizes, const Config& config) {
  const auto& ip_adapter = config.adapter.ip_adapter;
  models::TrainingStepShape shape;
  shape.batch = config.training.micro_batch;
  shape.latent_height = sizes.height / sizes.downscale;
  shape.latent_width = sizes.width / sizes.downscale;
  shape.text_tokens = sizes.text_tokens;
  shape.reference_tokens = ip_adapter.kind == "none" ? 0 : ip_adapter.token_count();
  shape.lora_rank = config.adapter.lora.rank;
  shape.type = models::compute_type(config.run.precision);
  shape.gradient_checkpointing = config.training.gradient_checkpointing;
  shape.ema = config.optimizer.ema > 0;
  shape.decoded_bytes = decoded_memory(sizes, config, shape.type);
  const int64_t trained = trained_parameters(sizes, config);
  const int64_t frozen_adapter =
      std::max<int64_t>(0, sizes.adapter.lora + sizes.adapter.ip_adapter - trained);
  // A trained UNet lies with what learns, no longer in its file.
  const int64_t moved = changes_unet(config) ? sizes.unet_parameters : 0;

  TrainingMemory memory;
  memory.ranks = config.launch.trainers + config.launch.evaluators;
  memory.rank =
      models::estimate_training_memory(sizes.unet_config, sizes.parameters - moved, trained, shape);
  const auto bytes = static_cast<int64_t>(c10::elementSize(shape.type));
  const bool fp32 = shape.type == c10::ScalarType::Float;
  // Stage `full` is float32.
  const int64_t moved_mapped = changes_unet(config) ? sizes.unet_mapped_fp32 : 0;
  memory.shared =
      std::max<int64_t>(0, (fp32 ? sizes.mapped_fp32 : sizes.mapped_bf16) - moved_mapped) * bytes;
  // And the copy that a checkpoint is written from.
  memory.rank.training +=
      frozen_adapter * static_cast<int64_t>(sizeof(float)) + checkpoint_bytes(sizes, config);
  memory.rank.inference = inference_memory(sizes, config, shape);
  if (sizes.cache_bytes < data::LatentCacheOptions().max_bytes_in_memory)
    memory.rank.caches = sizes.cache_bytes;
  return memory;
}

std::vector<MemorySaving> memory_savings(const TrainingSizes& sizes, const Config& config) {
  std::vector<MemorySaving> savings;
  const int64_t now = estimate_memory(sizes, config).host();
  const auto consider = [&](const std::string& setting, const Config& changed) {
    const int64_t host = estimate_memory(sizes, changed).host();
    if (host < now - now / 20) savings.push_back({setting, host});
  };
  Config changed = config;
  if (config.training.micro_batch > 1) {
    changed.training.micro_batch = std::max<int64_t>(1, config.training.micro_batch / 2);
    while (config.training.global_batch % changed.training.micro_batch != 0) {
      --changed.training.micro_batch;
    }
    consider("training.micro_batch = " + std::to_string(changed.training.micro_batch), changed);
    changed.training.micro_batch = 1;
    consider("training.micro_batch = 1", changed);
    changed = config;
  }
  changed.training.gradient_checkpointing = true;
  consider("training.gradient_checkpointing = true", changed);
  changed = config;
  changed.run.precision = "bf16";
  consider("run.precision = bf16", changed);
  changed = config;
  changed.evaluation.batch = 1;
  consider("evaluation.batch = 1", changed);
  changed = config;
  changed.launch.trainers = 1;
  consider("launch.trainers = 1", changed);
  std::stable_sort(savings.begin(), savings.end(), [](const auto& left, const auto& right) {
    return left.host < right.host;
  });
  return savings;
}

std::string memory_text(const TrainingMemory& memory) {
  const auto& rank = memory.rank;
  return bytes_text(rank.total()) + " a rank (frozen weights " + bytes_text(rank.weights) +
         ", adapter with gradients and optimizer " + bytes_text(rank.training) + ", activations " +
         bytes_text(rank.activations) + ", encoding and painting " + bytes_text(rank.inference) +
         " between the steps, cached samples " + bytes_text(rank.caches) + ", program " +
         bytes_text(rank.program) + ")" + ranks_text(memory);
}

std::string savings_text(const std::vector<MemorySaving>& savings) {
  std::string text;
  for (const auto& saving : savings) {
    text += (text.empty() ? "" : "; ") + saving.setting + " takes " + bytes_text(saving.host);
  }
  return text;
}

int64_t checkpoint_bytes(const TrainingSizes& sizes, const Config& config) {
  // Values and two moments, averages where there are some; and the adapter's own files.
  const int64_t copies = config.optimizer.ema > 0 ? 4 : 3;
  const int64_t numbers = copies * trained_parameters(sizes, config) + sizes.adapter.lora +
                          sizes.adapter.ip_adapter +
                          (changes_unet(config) ? sizes.unet_parameters : 0);
  return numbers * static_cast<int64_t>(sizeof(float));
}

std::string out_of_memory_text(const std::exception& error,
                               const Config& config,
                               const std::string& config_file,
                               const MemoryLimits& at_begin) {
  std::string what = error.what();
  what = what.substr(0, what.find('\n'));
  std::string text =
      "out of memory (" + what + "): " + (config_file.empty() ? "the configuration" : config_file) +
      " asks for training.micro_batch = " + std::to_string(config.training.micro_batch) +
      ", training.gradient_checkpointing = " +
      (config.training.gradient_checkpointing ? "true" : "false") +
      ", run.precision = " + config.run.precision +
      ", evaluation.batch = " + std::to_string(config.evaluation.batch);
  int64_t free = at_begin.usable();
  if (at_begin.address_space) free = std::min(free, *at_begin.address_space);
  const std::string was_free = bytes_text(free) + " were free when it began" +
                               (at_begin.address_space && free == *at_begin.address_space
                                    ? " (this process's own limit, ulimit -v)"
                                    : "");
  try {
    const auto sizes = read_training_sizes(config);
    text += ", which is estimated to take " + memory_text(estimate_memory(sizes, config)) + "; " +
            was_free + ". Lower it: " +
            (memory_savings(sizes, config).empty() ? "take smaller pictures (prepare.size)"
                                                   : savings_text(memory_savings(sizes, config)));
  } catch (const std::exception&) {
    // Not even the files' headers fit.
    text += "; " + was_free +
            ". Lower training.micro_batch or evaluation.batch, set training.gradient_checkpointing "
            "= true or run.precision = bf16";
  }
  return text;
}

}  // namespace limewash::launcher
