#include "models/random_weights.h"

#include <cmath>
#include <span>

#include <torch/torch.h>

#include "runtime/random.h"

namespace limewash::models {

UNetConfig stable_diffusion_inpainting_config() {
  UNetConfig config;
  config.in_channels = 9;
  config.out_channels = 4;
  config.down_block_types = {
      "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"};
  config.up_block_types = {
      "UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"};
  config.block_out_channels = {320, 640, 1280, 1280};
  config.layers_per_block = {2, 2, 2, 2};
  config.transformer_layers_per_block = {1, 1, 1, 1};
  config.num_attention_heads = {8, 8, 8, 8};
  config.cross_attention_dim = {768, 768, 768, 768};
  config.time_embedding_dim = 1280;
  return config;
}

void set_random_weights(torch::nn::Module& module, c10::ScalarType type, uint64_t seed) {
  torch::NoGradGuard no_grad;
  for (const auto& item : module.named_parameters()) {
    at::Tensor parameter = item.value();
    const auto options = parameter.options().dtype(type).requires_grad(false);
    if (parameter.dim() < 2) {
      const bool norm_scale = item.key().ends_with("weight");
      parameter.set_data(at::full(parameter.sizes(), norm_scale ? 1.0 : 0.0, options));
      continue;
    }
    const auto fan_in = static_cast<double>(parameter.numel() / parameter.size(0));
    const auto bound = static_cast<float>(1 / std::sqrt(fan_in));
    RandomStream draws(seed, Purpose::kInitialization, /*epoch=*/0, stable_id(item.key()));
    const at::Tensor drawn = at::empty(parameter.sizes(), at::kFloat);
    for (float& value : std::span(drawn.data_ptr<float>(), static_cast<size_t>(drawn.numel()))) {
      value = draws.uniform(-bound, bound);
    }
    parameter.set_data(drawn.to(
        options, /*non_blocking=*/false, /*copy=*/false, parameter.suggest_memory_format()));
    parameter.set_requires_grad(false);
  }
  module.eval();
}

}  // namespace limewash::models
