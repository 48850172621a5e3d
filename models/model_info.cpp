#include <functional>
#include <optional>
#include <sstream>
#include <vector>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/autoencoder_kl.h"
#include "models/clip.h"
#include "models/model_folder.h"
#include "models/model_run.h"
#include "models/noise_schedule.h"
#include "models/safetensors.h"
#include "models/strict_json.h"
#include "models/unet.h"
#include "models/weights.h"
#include "runtime/error.h"

namespace limewash::models {

std::filesystem::path folder_of_part(const std::filesystem::path& model, const std::string& part) {
  if (std::filesystem::exists(model / part / "config.json")) return model / part;
  if (std::filesystem::exists(model / "config.json")) return model;
  throw InputError(model.string() + ": expected " + part +
                   "/config.json (a diffusers folder), or " +
                   "config.json (the folder of the one network)");
}

namespace {

using nlohmann::json;

/// File, bytes and parameters of the weights in `folder`.
json weights_info(const std::filesystem::path& folder, const std::string& stem) {
  const auto path = find_weights(folder, stem);
  int64_t parameters = 0;
  json dtypes = json::object();
  for (const auto& [name, tensor] : read_safetensors(path).tensors) {
    if (!at::isFloatingType(tensor.scalar_type())) continue;
    parameters += tensor.numel();
    const std::string dtype = at::toString(tensor.scalar_type());
    dtypes[dtype] = dtypes.value(dtype, int64_t{0}) + tensor.numel();
  }
  return {{"file", path.filename().string()},
          {"bytes", std::filesystem::file_size(path)},
          {"parameters", parameters},
          {"parameters_by_dtype", dtypes}};
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

json vae_info(const std::filesystem::path& folder) {
  const auto config = AutoencoderKLConfig::from_json(folder / "config.json");
  json info = weights_info(folder, "diffusion_pytorch_model");
  info["class"] = "AutoencoderKL";
  info["latent_channels"] = config.latent_channels;
  info["block_out_channels"] = config.block_out_channels;
  info["downscale"] = config.downscale();
  info["scaling_factor"] = config.scaling_factor;
  return info;
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

/// What the one network of `folder` is, told by its config.json.
json single_network_info(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const json file = read_json_object(path);
  const std::string kind = file.contains("_class_name") && file["_class_name"].is_string()
                               ? file["_class_name"].get<std::string>()
                           : file.contains("model_type") && file["model_type"].is_string()
                               ? file["model_type"].get<std::string>()
                               : "";
  if (kind == "UNet2DConditionModel") return {{"unet", unet_info(folder)}};
  if (kind == "AutoencoderKL") return {{"vae", vae_info(folder)}};
  if (kind == "clip_text_model") return {{"text_encoder", text_encoder_info(folder)}};
  if (kind == "clip_vision_model") return {{"image_encoder", image_encoder_info(folder)}};
  throw InputError(
      path.string() + ": '" + printable(kind) +
      "' is none of UNet2DConditionModel, AutoencoderKL, clip_text_model, clip_vision_model");
}

json info_of(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder)) {
    throw InputError(folder.string() + ": expected the folder of a model");
  }
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
