#include "models/base_model.h"

#include <algorithm>

#include <torch/torch.h>

#include "models/fingerprint.h"
#include "models/model_folder.h"
#include "models/weights.h"
#include "runtime/error.h"

namespace limewash::models {

void BaseOptions::describe(config::Fields& fields) {
  fields.field("model", model, "folder of the base model in diffusers' layout");
  fields.field(
      "image_encoder", image_encoder, "folder of the image encoder; empty: the model's own");
  fields.field("ip_adapter",
               ip_adapter,
               "IP-Adapter file (.safetensors, .bin) to start from; empty: a new one");
  fields.field("lora", lora, "LoRA file or folder of any layout to start from; empty: a new one");
  fields.choice("prediction_type",
                prediction_type,
                {"model", "epsilon", "v_prediction"},
                "what the network is trained to output; model: as its folder says");
  fields.choice("zero_terminal_snr",
                zero_terminal_snr,
                {"model", "on", "off"},
                "let the last timestep be noise alone; model: as its folder says");
  fields.choice("timestep_spacing",
                timestep_spacing,
                {"model", "leading", "trailing", "linspace"},
                "timesteps of samplers; model: as its folder says");
}

void BaseOptions::validate() const {
  if (!std::filesystem::is_directory(model)) {
    throw ConfigError("base.model is '" + model + "': expected an existing folder");
  }
  if (!image_encoder.empty() && !std::filesystem::is_directory(image_encoder)) {
    throw ConfigError("base.image_encoder is '" + image_encoder + "': expected an existing folder");
  }
  if (!ip_adapter.empty() && !std::filesystem::is_regular_file(ip_adapter)) {
    throw ConfigError("base.ip_adapter is '" + ip_adapter + "': expected an existing file");
  }
  if (!lora.empty() && !std::filesystem::exists(lora)) {
    throw ConfigError("base.lora is '" + lora + "': expected an existing file or folder");
  }
}

namespace {

void check_fit(const BaseModel& base, const std::filesystem::path& folder) {
  const auto& unet = base.unet->config();
  const int64_t latent = base.vae->latent_channels();
  if (unet.out_channels != latent ||
      (unet.in_channels != latent && unet.in_channels != 2 * latent + 1)) {
    throw InputError((folder / "unet/config.json").string() + ": in_channels is " +
                     std::to_string(unet.in_channels) + " and out_channels " +
                     std::to_string(unet.out_channels) + ": with the VAE's latent_channels " +
                     std::to_string(latent) + " expected " + std::to_string(latent) + " or " +
                     std::to_string(2 * latent + 1) + " (inpainting), and " +
                     std::to_string(latent));
  }
  const int64_t width = base.text_encoder->config().encoder.hidden_size;
  if (unet.cross_attention_dim[0] != width) {
    throw InputError((folder / "unet/config.json").string() + ": cross_attention_dim is " +
                     std::to_string(unet.cross_attention_dim[0]) +
                     ", the text encoder's hidden_size is " + std::to_string(width) +
                     ": expected the same");
  }
}

std::string encoder_fingerprint(const std::filesystem::path& folder,
                                const std::filesystem::path& image_encoder) {
  std::vector<std::pair<std::string, std::filesystem::path>> files;
  const auto add =
      [&](const std::string& part, const std::filesystem::path& from, const std::string& file) {
        files.emplace_back(part + "/" + file, from / file);
      };
  const auto add_weights =
      [&](const std::string& part, const std::filesystem::path& from, const char* stem) {
        const WeightsFiles weights = find_weights(from, stem);
        if (!weights.index.empty()) add(part, from, weights.index.filename().string());
        for (const auto& path : weights.files) {
          files.emplace_back(part + "/" + path.filename().string(), path);
        }
      };
  add("vae", folder / "vae", "config.json");
  add_weights("vae", folder / "vae", "diffusion_pytorch_model");
  add("image_encoder", image_encoder, "config.json");
  add("image_encoder", image_encoder, "preprocessor_config.json");
  add_weights("image_encoder", image_encoder, "model");
  add("text_encoder", folder / "text_encoder", "config.json");
  add_weights("text_encoder", folder / "text_encoder", "model");
  for (const char* file : {"vocab.json",
                           "merges.txt",
                           "tokenizer.json",
                           "tokenizer_config.json",
                           "added_tokens.json",
                           "special_tokens_map.json"}) {
    add("tokenizer", folder / "tokenizer", file);
  }
  return fingerprint_files(files);
}

}  // namespace

NoiseScheduleConfig schedule_config(const BaseOptions& options,
                                    const std::filesystem::path& scheduler_config) {
  auto config = NoiseScheduleConfig::from_json(scheduler_config);
  if (options.prediction_type != "model") {
    config.prediction_type = options.prediction_type == "epsilon" ? PredictionType::kEpsilon
                                                                  : PredictionType::kVPrediction;
  }
  if (options.zero_terminal_snr != "model")
    config.rescale_betas_zero_snr = options.zero_terminal_snr == "on";
  if (options.timestep_spacing != "model") config.timestep_spacing = options.timestep_spacing;
  const bool asked = options.zero_terminal_snr == "on" || options.prediction_type == "epsilon";
  if (asked && config.rescale_betas_zero_snr &&
      config.prediction_type == PredictionType::kEpsilon) {
    throw ConfigError(
        "base.zero_terminal_snr = " + options.zero_terminal_snr +
        " with base.prediction_type = " + options.prediction_type +
        ": an epsilon-prediction at the last timestep says nothing of the picture; expected "
        "base.prediction_type = v_prediction");
  }
  return config;
}

BaseModel load_base_model(const BaseOptions& options, at::ScalarType type) {
  options.validate();
  const std::filesystem::path folder = resolve_model_folder(options.model);
  const std::filesystem::path image_encoder = options.image_encoder.empty()
                                                  ? folder / "image_encoder"
                                                  : resolve_model_folder(options.image_encoder);
  BaseModel base;
  base.unet = load_unet(folder / "unet", type);
  base.vae = load_autoencoder(folder / "vae", type);
  base.text_encoder = load_clip_text_model(folder / "text_encoder", type);
  base.image_encoder = load_clip_vision_model(image_encoder, type);
  base.schedule =
      NoiseSchedule(schedule_config(options, folder / "scheduler/scheduler_config.json"));
  check_fit(base, folder);
  const auto& text = base.text_encoder->config();
  base.tokenizer = std::make_shared<const ClipTokenizer>(ClipTokenizer::from_folder(
      folder / "tokenizer", text.vocab_size, text.max_position_embeddings));
  base.preprocessing =
      ImagePreprocessing::from_folder(image_encoder, base.image_encoder->config().image_size);
  base.fingerprint = encoder_fingerprint(folder, image_encoder);
  if (type != at::kFloat) base.fingerprint += std::string("-") + at::toString(type);
  base.name = std::filesystem::weakly_canonical(options.model).filename().string();
  return base;
}

void move_to(BaseModel& base, at::Device device) {
  torch::NoGradGuard no_grad;
  base.unet->to(device);
  base.vae->module().to(device);
  base.text_encoder->to(device);
  base.image_encoder->to(device);
}

namespace {

/// How many pictures of that many pixels go through the VAE together.
int64_t pictures_at_once(int64_t pixels) {
  return std::max<int64_t>(1, kPixelsAtOnce / std::max<int64_t>(1, pixels));
}

}  // namespace

std::pair<at::Tensor, at::Tensor> encode_pixels(BaseModel& base, const at::Tensor& pixels) {
  torch::NoGradGuard no_grad;
  TORCH_CHECK(pixels.dim() == 4, "VAE pixels: expected [N, 3, H, W], got ", pixels.sizes());
  std::vector<at::Tensor> means, deviations;
  for (const auto& piece : pixels.split(pictures_at_once(pixels.size(2) * pixels.size(3)))) {
    const LatentDistribution latents = base.vae->encode(piece);
    means.push_back(latents.mean);
    deviations.push_back(latents.std);
  }
  const double scale = base.vae->scaling_factor();
  return {at::cat(means) * scale, at::cat(deviations) * scale};
}

at::Tensor decode_latents(BaseModel& base, const at::Tensor& latents) {
  TORCH_CHECK(latents.dim() == 4, "VAE latents: expected [N, C, h, w], got ", latents.sizes());
  const int64_t pixels_of_latent = base.vae->downscale() * base.vae->downscale();
  std::vector<at::Tensor> pictures;
  for (const auto& piece :
       (latents / base.vae->scaling_factor())
           .split(pictures_at_once(latents.size(2) * latents.size(3) * pixels_of_latent))) {
    pictures.push_back(base.vae->decode(piece));
  }
  return at::cat(pictures);
}

namespace {

at::Tensor features_of(const CLIPVisionOutput& output, ReferenceFeatures features) {
  return features == ReferenceFeatures::kImageEmbeds ? output.image_embeds
                                                     : output.penultimate_hidden_state;
}

}  // namespace

at::Tensor encode_reference(BaseModel& base, const at::Tensor& rgb, ReferenceFeatures features) {
  torch::NoGradGuard no_grad;
  TORCH_CHECK(rgb.dim() == 4 && rgb.size(1) == 3 && rgb.size(2) == rgb.size(3) && rgb.size(2) > 0,
              "reference: expected [N, 3, S, S], got ",
              rgb.sizes());
  const ImagePreprocessing& steps = base.preprocessing;
  at::Tensor pixels = rgb;
  if (rgb.size(2) != steps.resize) {
    // Bytes in, bytes out, in fixed point: so do PIL and torchvision, which CLIPImageProcessor
    // calls.
    const at::Tensor bytes = (rgb.to(at::kCPU) * 255).round().clamp(0, 255).to(at::kByte);
    pixels =
        at::_upsample_bicubic2d_aa(bytes, {steps.resize, steps.resize}, /*align_corners=*/false)
            .to(rgb.device(), rgb.scalar_type()) /
        255;
  }
  const int64_t border = (steps.resize - steps.crop) / 2;
  pixels = pixels.slice(2, border, border + steps.crop).slice(3, border, border + steps.crop);
  const at::Tensor mean = at::tensor(steps.mean, rgb.options()).view({1, 3, 1, 1});
  const at::Tensor std = at::tensor(steps.std, rgb.options()).view({1, 3, 1, 1});
  return features_of(base.image_encoder->forward((pixels - mean) / std), features);
}

at::Tensor encode_dropped_reference(BaseModel& base, ReferenceFeatures features) {
  torch::NoGradGuard no_grad;
  const auto& config = base.image_encoder->config();
  const auto options =
      at::TensorOptions(at::kFloat).device(base.image_encoder->parameters().front().device());
  if (features == ReferenceFeatures::kImageEmbeds) {
    return at::zeros({1, config.projection_dim}, options);
  }
  const at::Tensor pixels =
      at::zeros({1, config.num_channels, config.image_size, config.image_size}, options);
  return features_of(base.image_encoder->forward(pixels), features);
}

at::Tensor encode_prompts(BaseModel& base, const std::vector<std::string>& prompts) {
  torch::NoGradGuard no_grad;
  const at::Device device = base.text_encoder->parameters().front().device();
  const at::Tensor ids = base.tokenizer->encode_batch(prompts).to(device);
  return base.text_encoder->forward(ids).last_hidden_state;
}

at::Tensor encode_empty_prompt(BaseModel& base) {
  return encode_prompts(base, {""});
}

}  // namespace limewash::models
