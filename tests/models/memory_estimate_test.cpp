#include "models/memory_estimate.h"

#include <functional>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "models/adapter.h"
#include "models/autoencoder.h"
#include "models/autoencoder_tiny.h"
#include "runtime/files.h"
#include "tests/models/allocated_memory.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

UNetConfig network(std::vector<int64_t> channels) {
  UNetConfig config;
  config.in_channels = 9;
  config.block_out_channels = std::move(channels);
  const size_t levels = config.block_out_channels.size();
  config.down_block_types.assign(levels, "CrossAttnDownBlock2D");
  config.down_block_types.back() = "DownBlock2D";
  config.up_block_types.assign(levels, "CrossAttnUpBlock2D");
  config.up_block_types.front() = "UpBlock2D";
  config.layers_per_block.assign(levels, 2);
  config.transformer_layers_per_block.assign(levels, 1);
  config.num_attention_heads.assign(levels, 4);
  config.cross_attention_dim.assign(levels, 48);
  config.norm_num_groups = 8;
  config.time_embedding_dim = 4 * config.block_out_channels[0];
  return config;
}

struct Measured {
  int64_t allocated = 0;
  int64_t trained_parameters = 0;
};

/// What LibTorch allocates for one forward and backward pass beside weights and gradients.
Measured measure(const UNetConfig& config, const TrainingStepShape& shape) {
  UNet2DConditionModel unet(config);
  at::manual_seed(2);
  {
    torch::NoGradGuard no_grad;
    for (auto& parameter : unet->parameters()) parameter.normal_(0, 0.05);
  }
  AdapterOptions options;
  options.lora.rank = shape.lora_rank;
  options.ip_adapter.tokens = shape.reference_tokens;
  Adapter adapter(unet, options, /*image_embedding_size=*/24, /*seed=*/1);
  unet->to(shape.type);
  unet->set_gradient_checkpointing(shape.gradient_checkpointing);
  Measured measured;
  for (const auto& list : {adapter.lora_parameters(), adapter.ip_adapter_parameters()}) {
    for (const auto& parameter : list) {
      measured.trained_parameters += parameter.tensor.numel();
      at::Tensor tensor = parameter.tensor;
      tensor.mutable_grad() = at::zeros_like(tensor);
    }
  }
  const auto sample = at::randn({shape.batch, 9, shape.latent_height, shape.latent_width});
  const auto timesteps = at::full({shape.batch}, 500, at::kLong);
  const auto text = at::randn({shape.batch, shape.text_tokens, 48});
  const auto reference = at::randn({shape.batch, 24});
  const AllocatedMemory memory;
  unet->forward(sample, timesteps, text, adapter.project_reference(reference))
      .square()
      .mean()
      .backward();
  measured.allocated = memory.peak();
  return measured;
}

TEST(MemoryEstimate, IsWithinAQuarterOfWhatIsAllocated) {
  const auto small = network({32, 48, 64}), wide = network({64, 96});
  struct Case {
    const UNetConfig& config;
    TrainingStepShape shape;
  };
  TrainingStepShape square{.batch = 2,
                           .latent_height = 20,
                           .latent_width = 20,
                           .text_tokens = 20,
                           .reference_tokens = 4,
                           .lora_rank = 4};
  TrainingStepShape odd = square;
  odd.batch = 1;
  odd.latent_height = 25;
  odd.latent_width = 18;
  for (const auto& [config, base] : {Case{small, square}, Case{wide, odd}}) {
    for (const bool checkpointing : {false, true}) {
      for (const auto type : {at::kFloat, at::kBFloat16}) {
        TrainingStepShape shape = base;
        shape.gradient_checkpointing = checkpointing;
        shape.type = type;
        const Measured measured = measure(config, shape);
        const auto estimate =
            estimate_training_memory(config, 0, measured.trained_parameters, shape);
        const double ratio =
            static_cast<double>(estimate.activations) / static_cast<double>(measured.allocated);
        RecordProperty(std::string(at::toString(type)) + (checkpointing ? "_checkpointing" : ""),
                       std::to_string(ratio));
        EXPECT_GT(ratio, 0.75) << at::toString(type) << " " << checkpointing;
        EXPECT_LT(ratio, 1.25) << at::toString(type) << " " << checkpointing;
      }
    }
  }
}

/// What LibTorch allocates at most for `compute`, without gradients.
int64_t allocated_by(const std::function<at::Tensor()>& compute) {
  torch::NoGradGuard no_grad;
  const AllocatedMemory memory;
  compute();
  return memory.peak();
}

void expect_within_a_quarter(int64_t estimate, int64_t measured, const std::string& what) {
  const double ratio = static_cast<double>(estimate) / static_cast<double>(measured);
  EXPECT_GT(ratio, 0.75) << what << " " << estimate << " " << measured;
  EXPECT_LT(ratio, 1.25) << what << " " << estimate << " " << measured;
}

TEST(MemoryEstimate, PaintingIsWithinAQuarterOfWhatIsAllocated) {
  for (const auto& config : {network({32, 48, 64}), network({64, 96})}) {
    UNet2DConditionModel unet(config);
    {
      torch::NoGradGuard no_grad;
      for (auto& parameter : unet->parameters()) parameter.normal_(0, 0.05);
    }
    const TrainingStepShape shape{.batch = 3, .latent_height = 24, .latent_width = 20};
    const auto sample = at::randn({3, 9, 24, 20}), text = at::randn({3, 20, 48});
    const auto timesteps = at::full({3}, 500, at::kLong);
    expect_within_a_quarter(estimate_unet_inference_memory(config, shape),
                            allocated_by([&] { return unet->forward(sample, timesteps, text); }),
                            std::to_string(config.block_out_channels[0]));
  }
}

/// The folder of a VAE whose weights are drawn, and what it allocates at a size.
class VaeFolder {
 public:
  explicit VaeFolder(const std::string& config) {
    write_file_atomically(folder_.path() / "config.json", config);
  }
  template <class Network>
  void save_weights(Network network) {
    torch::NoGradGuard no_grad;
    TensorMap tensors;
    for (const auto& item : network->named_parameters()) {
      tensors.emplace(item.key(), item.value().normal_(0, 0.05).detach());
    }
    write_safetensors(folder_.path() / "diffusion_pytorch_model.safetensors", tensors);
  }
  std::filesystem::path config_file() const {
    return folder_.path() / "config.json";
  }
  void expect_estimates_to_fit(int64_t downscale) {
    constexpr int64_t kBatch = 2, kHeight = 128, kWidth = 96;
    const auto vae = load_autoencoder(folder_.path());
    const auto estimate =
        estimate_autoencoder_memory(folder_.path(), kBatch, kHeight, kWidth, at::kFloat);
    const auto pixels = at::randn({kBatch, 3, kHeight, kWidth});
    const auto latents = at::randn({kBatch, 4, kHeight / downscale, kWidth / downscale});
    expect_within_a_quarter(
        estimate.encode, allocated_by([&] { return vae->encode(pixels).mean; }), "encode");
    expect_within_a_quarter(
        estimate.decode, allocated_by([&] { return vae->decode(latents); }), "decode");
    const auto differentiated = latents.clone().requires_grad_(true);
    const AllocatedMemory memory;
    vae->decode(differentiated).square().mean().backward();
    expect_within_a_quarter(estimate.decode_backward, memory.peak(), "decode and its gradient");
  }

 private:
  TemporaryFolder folder_;
};

TEST(MemoryEstimate, AutoencodersAreWithinAQuarterOfWhatIsAllocated) {
  VaeFolder large(R"({
    "_class_name": "AutoencoderKL", "block_out_channels": [32, 64, 64], "layers_per_block": 2,
    "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D", "DownEncoderBlock2D"],
    "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"],
    "norm_num_groups": 8, "latent_channels": 4})");
  large.save_weights(AutoencoderKL(AutoencoderKLConfig::from_json(large.config_file())));
  large.expect_estimates_to_fit(4);
  VaeFolder tiny(R"({
    "_class_name": "AutoencoderTiny", "latent_channels": 4,
    "encoder_block_out_channels": [32, 32, 32, 32], "num_encoder_blocks": [1, 3, 3, 3],
    "decoder_block_out_channels": [32, 32, 32, 32], "num_decoder_blocks": [3, 3, 3, 1]})");
  tiny.save_weights(AutoencoderTiny(AutoencoderTinyConfig::from_json(tiny.config_file())));
  tiny.expect_estimates_to_fit(8);
}

TEST(MemoryEstimate, CountsAnyAdapter) {
  const auto config = network({32, 48, 64});
  AdapterOptions options;
  options.lora.rank = 3;
  options.lora.targets = {"to_q", "conv1", "ff.net.2"};
  options.ip_adapter.kind = "plus";
  options.ip_adapter.resampler = {.dim = 24, .depth = 2, .heads = 2, .head_dim = 8, .ff_mult = 2};
  UNet2DConditionModel unet(config);
  Adapter adapter(unet, options, 20, /*seed=*/1);
  AdapterSize expected;
  for (const auto& parameter : adapter.lora_parameters()) {
    expected.lora += parameter.tensor.numel();
  }
  for (const auto& parameter : adapter.ip_adapter_parameters()) {
    expected.ip_adapter += parameter.tensor.numel();
  }
  const auto counted = count_adapter_parameters(config, options, 20);
  EXPECT_GT(counted.lora, 0);
  EXPECT_EQ(counted.lora, expected.lora);
  EXPECT_EQ(counted.ip_adapter, expected.ip_adapter);
  options = {};
  options.lora.rank = 5;
  const auto usual = count_adapter_parameters(config, options, 24);
  EXPECT_EQ(usual.lora + usual.ip_adapter, count_adapter_parameters(config, 5, 4, 24));
}

TEST(MemoryEstimate, WhatIsHeldBetweenTheStepsCountsOnlyWhereItIsMore) {
  MemoryEstimate estimate{
      .weights = 1, .training = 2, .activations = 30, .inference = 20, .caches = 400, .program = 0};
  EXPECT_EQ(estimate.total(), 433);
  estimate.inference = 50;
  EXPECT_EQ(estimate.total(), 453);
}

TEST(MemoryEstimate, CountsTheAdaptersParameters) {
  const auto config = network({32, 48, 64});
  const TrainingStepShape shape{.batch = 1,
                                .latent_height = 8,
                                .latent_width = 8,
                                .text_tokens = 3,
                                .reference_tokens = 4,
                                .lora_rank = 5};
  EXPECT_EQ(count_adapter_parameters(config, 5, 4, 24), measure(config, shape).trained_parameters);
}

TEST(MemoryEstimate, AddsWeightsAndTheOptimizersStates) {
  const auto config = network({64, 96});
  TrainingStepShape shape;
  const auto fp32 = estimate_training_memory(config, 1000, 10, shape);
  EXPECT_EQ(fp32.weights, 4000);
  EXPECT_EQ(fp32.training, 160);  // weight, gradient and two moments, 4 bytes each
  EXPECT_EQ(fp32.total(), fp32.weights + fp32.training + fp32.activations + fp32.program);
  EXPECT_GT(fp32.program, 0);
  shape.ema = true;  // the averages, and what is set aside while they are evaluated
  EXPECT_EQ(estimate_training_memory(config, 1000, 10, shape).training, 240);
  shape.ema = false;
  shape.type = at::kBFloat16;
  const auto bf16 = estimate_training_memory(config, 1000, 10, shape);
  EXPECT_EQ(bf16.weights, 2000);
  EXPECT_EQ(bf16.training, 160);
  EXPECT_LT(bf16.activations, fp32.activations);
  EXPECT_GE(2 * bf16.activations, fp32.activations);  // the softmax that plain products keep
  shape.gradient_checkpointing = true;
  EXPECT_LT(3 * estimate_training_memory(config, 0, 0, shape).activations, bf16.activations);
}

}  // namespace
}  // namespace limewash::models
