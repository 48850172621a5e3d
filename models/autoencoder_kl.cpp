#include "models/autoencoder_kl.h"

#include <utility>

#include <torch/torch.h>

#include "models/strict_json.h"
#include "models/weights.h"

namespace limewash::models {

AutoencoderKLConfig AutoencoderKLConfig::from_json(const std::filesystem::path& path) {
  ModelConfigFile file(path);
  AutoencoderKLConfig config;
  file.require("_class_name", {"AutoencoderKL"});
  config.in_channels = file.integer("in_channels", 3);
  config.out_channels = file.integer("out_channels", 3);
  config.latent_channels = file.integer("latent_channels", 4);
  config.block_out_channels = file.integer_list("block_out_channels");
  config.layers_per_block = file.integer("layers_per_block", 1, {1, 64});
  config.norm_num_groups = file.integer("norm_num_groups", 32);
  config.scaling_factor = file.number("scaling_factor", 0.18215, {1e-9, 1e9});
  config.mid_block_add_attention = file.boolean("mid_block_add_attention", true);
  config.use_quant_conv = file.boolean("use_quant_conv", true);
  config.use_post_quant_conv = file.boolean("use_post_quant_conv", true);
  file.require("act_fn", {"silu", "swish"});
  for (const char* key : {"shift_factor", "latents_mean", "latents_std"})
    file.require(key, {nullptr});
  file.ignore({"sample_size", "force_upcast"});
  const auto down = file.text_list("down_block_types"), up = file.text_list("up_block_types");
  file.finish();

  const size_t levels = config.block_out_channels.size();
  if (down != std::vector<std::string>(levels, "DownEncoderBlock2D")) {
    file.reject("down_block_types", "DownEncoderBlock2D, one a block");
  }
  if (up != std::vector<std::string>(levels, "UpDecoderBlock2D")) {
    file.reject("up_block_types", "UpDecoderBlock2D, one a block");
  }
  for (const int64_t channels : config.block_out_channels) {
    if (channels % config.norm_num_groups != 0) {
      file.reject("block_out_channels", "multiples of norm_num_groups");
    }
  }
  return config;
}

int64_t AutoencoderKLConfig::downscale() const {
  return int64_t{1} << (block_out_channels.size() - 1);
}

AutoencoderKLImpl::AutoencoderKLImpl(AutoencoderKLConfig config) : config_(std::move(config)) {
  VaeOptions options{.in_channels = config_.in_channels,
                     .out_channels = 2 * config_.latent_channels,
                     .block_out_channels = config_.block_out_channels,
                     .layers_per_block = config_.layers_per_block,
                     .norm_num_groups = config_.norm_num_groups,
                     .mid_block_add_attention = config_.mid_block_add_attention};
  encoder_ = register_module("encoder", VaeEncoder(options));
  options.in_channels = config_.latent_channels;
  options.out_channels = config_.out_channels;
  decoder_ = register_module("decoder", VaeDecoder(options));
  const int64_t latent = config_.latent_channels;
  if (config_.use_quant_conv) {
    quant_conv_ = register_module(
        "quant_conv",
        Conv2d(Conv2dOptions{.in_channels = 2 * latent, .out_channels = 2 * latent, .kernel = 1}));
  }
  if (config_.use_post_quant_conv) {
    post_quant_conv_ = register_module(
        "post_quant_conv",
        Conv2d(Conv2dOptions{.in_channels = latent, .out_channels = latent, .kernel = 1}));
  }
}

LatentDistribution AutoencoderKLImpl::encode(const at::Tensor& pixels) {
  const int64_t step = config_.downscale();
  TORCH_CHECK(pixels.dim() == 4 && pixels.size(1) == config_.in_channels &&
                  pixels.size(2) % step == 0 && pixels.size(3) % step == 0 && pixels.size(2) > 0 &&
                  pixels.size(3) > 0,
              "VAE pixels: expected [N, ",
              config_.in_channels,
              ", H, W] with sides that are multiples of ",
              step,
              ", got ",
              pixels.sizes());
  at::Tensor moments = encoder_->forward(pixels.to(compute_type()));
  if (quant_conv_) moments = quant_conv_->forward(moments);
  const auto halves = moments.to(pixels.scalar_type()).chunk(2, 1);
  return {halves[0], at::exp(0.5 * at::clamp(halves[1], -30.0, 20.0))};
}

at::Tensor AutoencoderKLImpl::decode(const at::Tensor& latents) {
  TORCH_CHECK(latents.dim() == 4 && latents.size(1) == config_.latent_channels,
              "VAE latents: expected [N, ",
              config_.latent_channels,
              ", h, w], got ",
              latents.sizes());
  const at::Tensor input = latents.to(compute_type());
  return decoder_->forward(post_quant_conv_ ? post_quant_conv_->forward(input) : input)
      .to(latents.scalar_type());
}

at::ScalarType AutoencoderKLImpl::compute_type() const {
  return parameters().front().scalar_type();
}

const AutoencoderKLConfig& AutoencoderKLImpl::config() const {
  return config_;
}

AutoencoderKL load_autoencoder_kl(const std::filesystem::path& folder, at::ScalarType type) {
  AutoencoderKL vae(AutoencoderKLConfig::from_json(folder / "config.json"));
  load_weights(*vae, find_weights(folder, "diffusion_pytorch_model"), adapt_vae_key, type);
  return vae;
}

}  // namespace limewash::models
