#include "models/unet_layers.h"

namespace limewash::models {

std::vector<UNetLayer> unet_layers(const UNetConfig& config, int64_t height, int64_t width) {
  const auto& channels = config.block_out_channels;
  const size_t levels = channels.size();
  std::vector<int64_t> pixels;
  for (size_t level = 0; level < levels; ++level) {
    pixels.push_back(height * width);
    height = (height + 1) / 2;
    width = (width + 1) / 2;
  }
  std::vector<UNetLayer> layers;
  const auto add = [&](size_t level, int64_t in_channels, bool attends, bool concatenates) {
    layers.push_back({in_channels,
                      channels[level],
                      pixels[level],
                      attends ? config.transformer_layers_per_block[level] : 0,
                      config.num_attention_heads[level],
                      concatenates});
  };
  std::vector<int64_t> skips{channels[0]};
  int64_t current = channels[0];
  for (size_t level = 0; level < levels; ++level) {
    for (int64_t i = 0; i < config.layers_per_block[level]; ++i) {
      add(level, current, config.down_block_types[level] == "CrossAttnDownBlock2D", false);
      current = channels[level];
      skips.push_back(current);
    }
    if (level + 1 < levels) skips.push_back(current);
  }
  add(levels - 1, current, true, false);
  add(levels - 1, current, false, false);
  for (size_t i = 0; i < levels; ++i) {
    const size_t level = levels - 1 - i;
    for (int64_t j = 0; j <= config.layers_per_block[level]; ++j) {
      const int64_t joined = current + skips.back();
      skips.pop_back();
      add(level, joined, config.up_block_types[i] == "CrossAttnUpBlock2D", true);
      current = channels[level];
    }
  }
  return layers;
}

}  // namespace limewash::models
