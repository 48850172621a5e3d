#include "models/training_flops.h"

#include "models/unet_layers.h"

namespace limewash::models {

namespace {

/// Multiply-adds of one sample's forward pass.
struct Work {
  double frozen = 0;  ///< by frozen weights: once more for the gradient of the input
  double both = 0;    ///< of two factors that both want a gradient
};

Work transformer_work(const UNetLayer& layer,
                      double context_width,
                      const TrainingStepShape& shape) {
  const auto channels = static_cast<double>(layer.out_channels);
  const auto pixels = static_cast<double>(layer.pixels);
  const auto text = static_cast<double>(shape.text_tokens);
  const auto reference = static_cast<double>(shape.reference_tokens);
  const auto rank = static_cast<double>(shape.lora_rank);
  const auto blocks = static_cast<double>(layer.transformers);
  Work work;
  // proj_in and proj_out; four projections of attn1, two of attn2; GEGLU's 8 and 4 times the width.
  work.frozen = channels * channels * pixels * (2 + blocks * (4 + 2 + 8 + 4));
  work.frozen += blocks * 2 * text * context_width * channels;
  work.both = blocks * 2 * reference * context_width * channels;
  work.both += blocks * 2 * pixels * channels * (pixels + text + reference);
  work.both += blocks * rank * (6 * 2 * channels * pixels + 2 * (context_width + channels) * text);
  return work;
}

Work layer_work(const UNetConfig& config, const UNetLayer& layer, const TrainingStepShape& shape) {
  const auto in = static_cast<double>(layer.in_channels);
  const auto out = static_cast<double>(layer.out_channels);
  const auto pixels = static_cast<double>(layer.pixels);
  Work work;
  if (layer.transformers > 0) {
    work = transformer_work(layer, static_cast<double>(config.cross_attention_dim[0]), shape);
  }
  const double shortcut = layer.in_channels == layer.out_channels ? 0 : in * out * pixels;
  work.frozen += 9 * (in + out) * out * pixels + shortcut;
  work.frozen += static_cast<double>(config.time_embedding_dim) * out;
  return work;
}

/// The convolutions between the levels, and the first and the last one.
double resampling_work(const UNetConfig& config, const TrainingStepShape& shape) {
  const auto& channels = config.block_out_channels;
  const auto square = [](int64_t size) { return static_cast<double>(size * size); };
  auto pixels = static_cast<double>(shape.latent_height * shape.latent_width);
  const auto ends = static_cast<double>(config.in_channels + config.out_channels);
  double work = 9 * ends * static_cast<double>(channels[0]) * pixels;
  for (size_t level = 0; level + 1 < channels.size(); ++level) {
    work += 9 * square(channels[level + 1]) * pixels;  // up, at the larger size
    pixels /= 4;
    work += 9 * square(channels[level]) * pixels;  // down
  }
  return work;
}

}  // namespace

double training_step_flops(const UNetConfig& config, const TrainingStepShape& shape) {
  double frozen = resampling_work(config, shape), both = 0;
  for (const UNetLayer& layer : unet_layers(config, shape.latent_height, shape.latent_width)) {
    const Work work = layer_work(config, layer, shape);
    frozen += work.frozen;
    both += work.both;
  }
  return 2 * (2 * frozen + 3 * both) * static_cast<double>(shape.batch);
}

}  // namespace limewash::models
