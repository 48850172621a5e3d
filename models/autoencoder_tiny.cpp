#include "models/autoencoder_tiny.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <torch/torch.h>

#include "models/strict_json.h"
#include "models/weights.h"

namespace limewash::models {

namespace {

using Activation = at::Tensor (*)(const at::Tensor&);

/// The function that diffusers' get_activation gives for that name; nullptr for an unknown one.
Activation activation_named(const std::string& name) {
  if (name == "relu") return [](const at::Tensor& input) { return at::relu(input); };
  if (name == "silu" || name == "swish") {
    return [](const at::Tensor& input) { return at::silu(input); };
  }
  if (name == "gelu") return [](const at::Tensor& input) { return at::gelu(input); };
  if (name == "mish") return [](const at::Tensor& input) { return at::mish(input); };
  return nullptr;
}

Conv2d make_conv(int64_t in_channels, int64_t out_channels, bool bias = true, int64_t stride = 1) {
  return Conv2d(Conv2dOptions{.in_channels = in_channels,
                              .out_channels = out_channels,
                              .stride = stride,
                              .padding = 1,
                              .bias = bias});
}

bool all_equal(const std::vector<int64_t>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
}

}  // namespace

AutoencoderTinyConfig AutoencoderTinyConfig::from_json(const std::filesystem::path& path) {
  ModelConfigFile file(path);
  AutoencoderTinyConfig config;
  file.require("_class_name", {"AutoencoderTiny"});
  config.in_channels = file.integer("in_channels", 3);
  config.out_channels = file.integer("out_channels", 3);
  config.latent_channels = file.integer("latent_channels", 4);
  config.encoder_block_out_channels = file.integer_list("encoder_block_out_channels");
  config.decoder_block_out_channels = file.integer_list("decoder_block_out_channels");
  config.num_encoder_blocks = file.integer_list("num_encoder_blocks", {0, 64});
  config.num_decoder_blocks = file.integer_list("num_decoder_blocks", {0, 64});
  config.act_fn = file.text("act_fn", "relu");
  config.upsampling_scaling_factor = file.integer("upsampling_scaling_factor", 2, {1, 16});
  config.latent_magnitude = file.number("latent_magnitude", 3, {1e-9, 1e9});
  config.latent_shift = file.number("latent_shift", 0.5, {-1e9, 1e9});
  config.scaling_factor = file.number("scaling_factor", 1, {1e-9, 1e9});
  file.require("upsample_fn", {"nearest"});
  file.require("shift_factor", {0.0});
  // diffusers writes block_out_channels as a copy of the decoder's widths.
  file.ignore({"sample_size", "force_upcast", "block_out_channels"});
  file.finish();

  if (!activation_named(config.act_fn)) file.reject("act_fn", "relu, silu, swish, gelu or mish");
  if (config.num_encoder_blocks.size() != config.encoder_block_out_channels.size()) {
    file.reject("num_encoder_blocks", "one number for each of encoder_block_out_channels");
  }
  if (config.num_decoder_blocks.size() != config.decoder_block_out_channels.size()) {
    file.reject("num_decoder_blocks", "one number for each of decoder_block_out_channels");
  }
  if (!all_equal(config.encoder_block_out_channels)) {
    file.reject("encoder_block_out_channels", "the same width for all stages");
  }
  if (!all_equal(config.decoder_block_out_channels)) {
    file.reject("decoder_block_out_channels", "the same width for all stages");
  }
  return config;
}

int64_t AutoencoderTinyConfig::downscale() const {
  return int64_t{1} << (encoder_block_out_channels.size() - 1);
}

AutoencoderTinyBlockImpl::AutoencoderTinyBlockImpl(int64_t channels, const std::string& act_fn)
    : activation_(activation_named(act_fn)) {
  // Keys conv.0, conv.2 and conv.4; the activations stand between them.
  auto conv = register_module("conv", std::make_shared<torch::nn::Module>("Sequential"));
  for (const char* place : {"0", "2", "4"}) {
    convolutions_.push_back(conv->register_module(place, make_conv(channels, channels)));
  }
}

at::Tensor AutoencoderTinyBlockImpl::forward(const at::Tensor& input) const {
  at::Tensor hidden_states = convolutions_[0]->forward(input);
  hidden_states = convolutions_[1]->forward(activation_(hidden_states));
  hidden_states = convolutions_[2]->forward(activation_(hidden_states));
  return at::relu(hidden_states + input);  // ReLU here, whatever act_fn is
}

AutoencoderTinyImpl::AutoencoderTinyImpl(AutoencoderTinyConfig config)
    : config_(std::move(config)), activation_(activation_named(config_.act_fn)) {
  TORCH_CHECK(activation_, "AutoencoderTiny: unknown act_fn ", config_.act_fn);
  build_encoder();
  build_decoder();
  const auto register_layers = [this](const char* side, const std::vector<Layer>& layers) {
    auto parent = register_module(side, std::make_shared<torch::nn::Module>(side));
    auto list = parent->register_module("layers", std::make_shared<torch::nn::Module>("layers"));
    for (size_t i = 0; i < layers.size(); ++i) {
      const std::string place = std::to_string(i);
      if (layers[i].convolution) list->register_module(place, layers[i].convolution);
      if (layers[i].block) list->register_module(place, layers[i].block);
    }
  };
  register_layers("encoder", encoder_);
  register_layers("decoder", decoder_);
}

void AutoencoderTinyImpl::build_encoder() {
  using Kind = Layer::Kind;
  const auto& channels = config_.encoder_block_out_channels;
  for (size_t stage = 0; stage < channels.size(); ++stage) {
    const int64_t width = channels[stage];
    encoder_.push_back({Kind::kConvolution,
                        stage == 0 ? make_conv(config_.in_channels, width)
                                   : make_conv(width, width, /*bias=*/false, /*stride=*/2)});
    for (int64_t i = 0; i < config_.num_encoder_blocks[stage]; ++i) {
      encoder_.push_back({Kind::kBlock, nullptr, AutoencoderTinyBlock(width, config_.act_fn)});
    }
  }
  encoder_.push_back({Kind::kConvolution, make_conv(channels.back(), config_.latent_channels)});
}

void AutoencoderTinyImpl::build_decoder() {
  using Kind = Layer::Kind;
  const auto& channels = config_.decoder_block_out_channels;
  decoder_.push_back({Kind::kConvolution, make_conv(config_.latent_channels, channels.front())});
  decoder_.push_back({Kind::kActivation});
  for (size_t stage = 0; stage < channels.size(); ++stage) {
    const int64_t width = channels[stage];
    const bool last = stage + 1 == channels.size();
    for (int64_t i = 0; i < config_.num_decoder_blocks[stage]; ++i) {
      decoder_.push_back({Kind::kBlock, nullptr, AutoencoderTinyBlock(width, config_.act_fn)});
    }
    if (!last) decoder_.push_back({Kind::kUpsample});
    decoder_.push_back(
        {Kind::kConvolution, make_conv(width, last ? config_.out_channels : width, /*bias=*/last)});
  }
}

at::Tensor AutoencoderTinyImpl::run(const std::vector<Layer>& layers,
                                    at::Tensor hidden_states) const {
  const int64_t factor = config_.upsampling_scaling_factor;
  for (const Layer& layer : layers) {
    switch (layer.kind) {
      case Layer::Kind::kConvolution:
        hidden_states = layer.convolution->forward(hidden_states);
        break;
      case Layer::Kind::kBlock:
        hidden_states = layer.block->forward(hidden_states);
        break;
      case Layer::Kind::kActivation:
        hidden_states = activation_(hidden_states);
        break;
      case Layer::Kind::kUpsample:
        hidden_states = at::upsample_nearest2d(
            hidden_states, {factor * hidden_states.size(2), factor * hidden_states.size(3)});
        break;
    }
  }
  return hidden_states;
}

at::Tensor AutoencoderTinyImpl::encode(const at::Tensor& pixels) const {
  TORCH_CHECK(pixels.dim() == 4 && pixels.size(1) == config_.in_channels,
              "VAE pixels: expected [N, ",
              config_.in_channels,
              ", H, W], got ",
              pixels.sizes());
  const auto type = encoder_.front().convolution->weight.scalar_type();
  return run(encoder_, pixels.to(type).add(1).div(2)).to(pixels.scalar_type());
}

at::Tensor AutoencoderTinyImpl::decode(const at::Tensor& latents) const {
  TORCH_CHECK(latents.dim() == 4 && latents.size(1) == config_.latent_channels,
              "VAE latents: expected [N, ",
              config_.latent_channels,
              ", h, w], got ",
              latents.sizes());
  const auto type = decoder_.front().convolution->weight.scalar_type();
  const at::Tensor bounded = at::tanh(latents.to(type) / 3) * 3;
  return run(decoder_, bounded).to(latents.scalar_type()).mul(2).sub(1);
}

at::Tensor AutoencoderTinyImpl::scale_latents(const at::Tensor& latents) const {
  return latents.div(2 * config_.latent_magnitude).add(config_.latent_shift).clamp(0, 1);
}

at::Tensor AutoencoderTinyImpl::unscale_latents(const at::Tensor& scaled) const {
  return scaled.sub(config_.latent_shift).mul(2 * config_.latent_magnitude);
}

const AutoencoderTinyConfig& AutoencoderTinyImpl::config() const {
  return config_;
}

AutoencoderTiny load_autoencoder_tiny(const std::filesystem::path& folder, at::ScalarType type) {
  AutoencoderTiny vae(AutoencoderTinyConfig::from_json(folder / "config.json"));
  load_weights(*vae, find_weights(folder, "diffusion_pytorch_model"), {}, type);
  return vae;
}

}  // namespace limewash::models
