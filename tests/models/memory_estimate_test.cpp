#include "models/memory_estimate.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "models/adapter.h"
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
  shape.type = at::kBFloat16;
  const auto bf16 = estimate_training_memory(config, 1000, 10, shape);
  EXPECT_EQ(bf16.weights, 2000);
  EXPECT_EQ(bf16.training, 160);
  EXPECT_EQ(2 * bf16.activations, fp32.activations);
  shape.gradient_checkpointing = true;
  EXPECT_LT(3 * estimate_training_memory(config, 0, 0, shape).activations, bf16.activations);
}

}  // namespace
}  // namespace limewash::models
