#include <cmath>
#include <functional>
#include <optional>
#include <sstream>
#include <vector>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/autoencoder_kl.h"
#include "models/autoencoder_tiny.h"
#include "models/clip.h"
#include "models/memory_estimate.h"
#include "models/model_folder.h"
#include "models/model_run.h"
#include "models/noise_schedule.h"
#include "models/strict_json.h"
#include "models/unet.h"
#include "models/weights.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

using nlohmann::json;

/// File (or index of shards), bytes and parameters of the weights in `folder`.
json weights_info(const std::filesystem::path& folder, const std::string& stem) {
  const WeightsFiles files = find_weights(folder, stem);
  int64_t parameters = 0;
  uint64_t bytes = 0;
  json dtypes = json::object(), convolutions = json::object();
  for (const auto& path : files.files) bytes += std::filesystem::file_size(path);
  for (const auto& [name, tensor] : read_weights(files).tensors) {
    if (!at::isFloatingType(tensor.scalar_type())) continue;
    parameters += tensor.numel();
    const std::string dtype = at::toString(tensor.scalar_type());
    dtypes[dtype] = dtypes.value(dtype, int64_t{0}) + tensor.numel();
    if (tensor.dim() != 4 || tensor.size(2) * tensor.size(3) == 1) continue;
    convolutions[dtype] = convolutions.value(dtype, int64_t{0}) + tensor.numel();
  }
  return {{"file", files.shown().filename().string()},
          {"bytes", bytes},
          {"parameters", parameters},
          {"parameters_by_dtype", dtypes},
          {"convolution_parameters_by_dtype", convolutions}};
}

json unet_info(const std::filesystem::path& folder) {
  const auto config = UNetConfig::from_json(folder / "config.json");
  json info = weights_info(folder, "diffusion_pytorch_model");
  info["class"] = "UNet2DConditionModel";
  info["in_channels"] = config.in_channels;
  info["out_channels"] = config.out_channels;
  info["block_out_channels"] = config.block_out_channels;
  info["num_attention_heads"] = config.num_attention_heads;
  info["cross_attention_dim"] = config.cross_attention_dim[0];
  info["inpainting"] = config.in_channels == 2 * config.out_channels + 1;
  return info;
}

/// What both kinds of autoencoder have.
template <class Config>
json autoencoder_info(const std::filesystem::path& folder,
                      const char* name,
                      const Config& config,
                      const std::vector<int64_t>& block_out_channels) {
  json info = weights_info(folder, "diffusion_pytorch_model");
  info["class"] = name;
  info["latent_channels"] = config.latent_channels;
  info["block_out_channels"] = block_out_channels;
  info["downscale"] = config.downscale();
  info["scaling_factor"] = config.scaling_factor;
  return info;
}

/// The `_class_name` or `model_type` of a config.json; "" without one.
std::string class_of(const std::filesystem::path& folder) {
  const json file = read_json_object(folder / "config.json");
  for (const char* key : {"_class_name", "model_type"}) {
    if (file.contains(key) && file[key].is_string()) return file[key].get<std::string>();
  }
  return "";
}

json vae_info(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  if (class_of(folder) == "AutoencoderTiny") {
    const auto config = AutoencoderTinyConfig::from_json(path);
    return autoencoder_info(folder, "AutoencoderTiny", config, config.decoder_block_out_channels);
  }
  const auto config = AutoencoderKLConfig::from_json(path);
  return autoencoder_info(folder, "AutoencoderKL", config, config.block_out_channels);
}

json text_encoder_info(const std::filesystem::path& folder) {
  const auto config = CLIPTextConfig::from_json(folder / "config.json");
  json info = weights_info(folder, "model");
  info["class"] = "CLIPTextModel";
  info["hidden_size"] = config.encoder.hidden_size;
  info["num_hidden_layers"] = config.encoder.num_hidden_layers;
  info["max_position_embeddings"] = config.max_position_embeddings;
  return info;
}

json image_encoder_info(const std::filesystem::path& folder) {
  const auto config = CLIPVisionConfig::from_json(folder / "config.json");
  json info = weights_info(folder, "model");
  info["class"] = "CLIPVisionModelWithProjection";
  info["hidden_size"] = config.encoder.hidden_size;
  info["num_hidden_layers"] = config.encoder.num_hidden_layers;
  info["image_size"] = config.image_size;
  info["projection_dim"] = config.projection_dim;
  return info;
}

json scheduler_info(const std::filesystem::path& path) {
  const auto config = NoiseScheduleConfig::from_json(path);
  return {{"prediction_type",
           config.prediction_type == PredictionType::kEpsilon ? "epsilon" : "v_prediction"},
          {"num_train_timesteps", config.num_train_timesteps},
          {"beta_schedule", config.beta_schedule},
          {"beta_start", config.beta_start},
          {"beta_end", config.beta_end},
          {"rescale_betas_zero_snr", config.rescale_betas_zero_snr},
          {"timestep_spacing", config.timestep_spacing}};
}

/// What one sample of a 512 x 512 photo takes to train a LoRA of rank 16 and an IP-Adapter of the
/// base kind, with all `parts` in memory.
json training_estimate(const std::filesystem::path& unet_folder, const json& parts) {
  const auto config = UNetConfig::from_json(unet_folder / "config.json");
  const int64_t downscale =
      parts.contains("vae") ? parts["vae"]["downscale"].get<int64_t>() : int64_t{8};
  const int64_t embedding = parts.contains("image_encoder")
                                ? parts["image_encoder"]["projection_dim"].get<int64_t>()
                                : int64_t{1024};
  constexpr int64_t kPhotoSize = 512;
  int64_t frozen = 0;
  for (const auto& part : parts) frozen += part["parameters"].get<int64_t>();
  TrainingStepShape shape;
  shape.latent_height = shape.latent_width = kPhotoSize / downscale;
  const int64_t trained =
      count_adapter_parameters(config, shape.lora_rank, shape.reference_tokens, embedding);
  json estimate = {{"photo_size", kPhotoSize},
                   {"micro_batch", shape.batch},
                   {"lora_rank", shape.lora_rank},
                   {"trained_parameters", trained}};
  for (const auto& [name, type] :
       {std::pair{"fp32", at::kFloat}, std::pair{"bf16", at::kBFloat16}}) {
    for (const bool checkpointing : {false, true}) {
      shape.type = type;
      shape.gradient_checkpointing = checkpointing;
      const auto bytes = estimate_training_memory(config, frozen, trained, shape).total();
      const std::string key = checkpointing ? "_gradient_checkpointing" : "";
      estimate[name + key] = static_cast<double>(bytes) / (int64_t{1} << 30);
    }
  }
  return estimate;
}

/// What the one network of `folder` is, told by its config.json.
json single_network_info(const std::filesystem::path& folder) {
  const std::string kind = class_of(folder);
  if (kind == "UNet2DConditionModel") return {{"unet", unet_info(folder)}};
  if (kind == "AutoencoderKL" || kind == "AutoencoderTiny") return {{"vae", vae_info(folder)}};
  if (kind == "clip_text_model") return {{"text_encoder", text_encoder_info(folder)}};
  if (kind == "clip_vision_model") return {{"image_encoder", image_encoder_info(folder)}};
  throw InputError(
      (folder / "config.json").string() + ": '" + printable(kind) +
      "' is none of UNet2DConditionModel, AutoencoderKL, AutoencoderTiny, clip_text_model, "
      "clip_vision_model");
}

json info_of(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) {
    throw InputError(path.string() + ": expected the folder of a model");
  }
  const std::filesystem::path folder = resolve_model_folder(path);
  json parts = json::object();
  if (std::filesystem::exists(folder / "config.json")) {
    parts = single_network_info(folder);
  } else {
    const std::vector<std::pair<const char*, std::function<json(const std::filesystem::path&)>>>
        readers = {{"unet", unet_info},
                   {"vae", vae_info},
                   {"text_encoder", text_encoder_info},
                   {"image_encoder", image_encoder_info}};
    for (const auto& [part, read] : readers) {
      if (std::filesystem::exists(folder / part / "config.json")) parts[part] = read(folder / part);
    }
    if (parts.empty()) {
      throw InputError(folder.string() +
                       ": expected a diffusers folder, or the folder of one network");
    }
  }
  json info = {{"path", folder.string()}, {"parts", parts}};
  int64_t parameters = 0;
  for (const auto& part : parts) parameters += part["parameters"].get<int64_t>();
  info["parameters"] = parameters;
  const auto unet = std::filesystem::exists(folder / "config.json") ? folder : folder / "unet";
  info["estimated_training_gib"] = parts.contains("unet") ? training_estimate(unet, parts) : json();
  const auto scheduler = folder / "scheduler/scheduler_config.json";
  info["scheduler"] = std::filesystem::exists(scheduler) ? scheduler_info(scheduler) : json();
  return info;
}

}  // namespace

std::string model_info_json(const std::filesystem::path& folder) {
  return info_of(folder).dump();
}

std::string model_info_text(const std::filesystem::path& folder) {
  const json info = info_of(folder);
  std::ostringstream text;
  text << info["path"].get<std::string>() << ": " << info["parameters"] << " parameters";
  for (const auto& [name, part] : info["parts"].items()) {
    text << "\n  " << name << ": " << part["class"].get<std::string>();
    for (const auto& [key, value] : part.items()) {
      if (key != "class" && key != "parameters_by_dtype") text << ", " << key << " " << value;
    }
  }
  if (const json& estimate = info["estimated_training_gib"]; !estimate.is_null()) {
    text
        << "\n  estimated training memory, GiB (one 512 x 512 photo, LoRA of rank 16, IP-Adapter):";
    for (const char* key :
         {"fp32", "fp32_gradient_checkpointing", "bf16", "bf16_gradient_checkpointing"}) {
      text << " " << key << " " << std::round(100 * estimate[key].get<double>()) / 100;
    }
  }
  if (!info["scheduler"].is_null()) {
    text << "\n  scheduler:";
    const char* separator = " ";
    for (const auto& [key, value] : info["scheduler"].items()) {
      text << separator << key << " " << value;
      separator = ", ";
    }
  }
  return text.str();
}

}  // namespace limewash::models
