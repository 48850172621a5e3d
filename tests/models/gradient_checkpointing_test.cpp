#include "models/gradient_checkpointing.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "models/adapter.h"
#include "models/unet.h"
#include "tests/models/allocated_memory.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

struct Step {
  at::Tensor output;
  std::vector<NamedParameter> gradients;
  int64_t peak_bytes = 0;
};

std::vector<NamedParameter> parameters_of(Adapter& adapter) {
  auto parameters = adapter.lora_parameters();
  for (auto& parameter : adapter.ip_adapter_parameters()) parameters.push_back(parameter);
  return parameters;
}

Step forward_backward(UNet2DConditionModel& unet,
                      Adapter& adapter,
                      const TensorMap& in,
                      const at::Tensor& image_embeds,
                      bool checkpointing) {
  unet->set_gradient_checkpointing(checkpointing);
  const auto parameters = parameters_of(adapter);
  for (const auto& parameter : parameters) {
    at::Tensor tensor = parameter.tensor;
    tensor.mutable_grad() = at::Tensor();
  }
  Step step;
  {
    const AllocatedMemory memory;
    step.output = unet->forward(in.at("sample"),
                                in.at("timestep"),
                                in.at("encoder_hidden_states"),
                                adapter.project_reference(image_embeds));
    step.output.square().mean().backward();
    step.peak_bytes = memory.peak();
  }
  for (const auto& [name, tensor] : parameters) step.gradients.push_back({name, tensor.grad()});
  return step;
}

TEST(GradientCheckpointing, GivesTheSameGradientsBitForBit) {
  UNet2DConditionModel unet = load_unet(golden_path("base/unet"));
  const auto adapter = load_adapter(unet, golden_path("base/adapter"));
  const auto in = golden("base/unet_inputs");
  const at::Tensor embeds = golden("base/adapter_outputs").at("image_embeds");
  const Step kept = forward_backward(unet, *adapter, in, embeds, false);
  const Step repeated = forward_backward(unet, *adapter, in, embeds, true);
  EXPECT_TRUE(at::equal(kept.output, repeated.output));
  ASSERT_GT(kept.gradients.size(), 20u);
  for (size_t i = 0; i < kept.gradients.size(); ++i) {
    ASSERT_TRUE(kept.gradients[i].tensor.defined()) << kept.gradients[i].name;
    EXPECT_GT(kept.gradients[i].tensor.abs().max().item<double>(), 0) << kept.gradients[i].name;
    EXPECT_TRUE(at::equal(kept.gradients[i].tensor, repeated.gradients[i].tensor))
        << kept.gradients[i].name;
  }
}

TEST(GradientCheckpointing, AgreesWithDiffusersGradients) {
  UNet2DConditionModel unet = load_unet(golden_path("base/unet"));
  const auto adapter = load_adapter(unet, golden_path("base/adapter"));
  const auto in = golden("base/unet_inputs"), expected = golden("base/adapter_outputs");
  unet->set_gradient_checkpointing(true);
  const at::Tensor output = unet->forward(in.at("sample"),
                                          in.at("timestep"),
                                          in.at("encoder_hidden_states"),
                                          adapter->project_reference(expected.at("image_embeds")));
  (output * expected.at("probe")).sum().backward();
  for (const auto& [name, tensor] : parameters_of(*adapter)) {
    expect_close(tensor.grad(), expected.at("gradient." + name), 1e-4);
  }
}

/// A network whose activations outweigh its weights.
UNetConfig mid_size() {
  UNetConfig config;
  config.in_channels = 9;
  config.block_out_channels = {32, 64};
  config.down_block_types = {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D"};
  config.up_block_types = {"CrossAttnUpBlock2D", "CrossAttnUpBlock2D"};
  config.layers_per_block = {2, 2};
  config.transformer_layers_per_block = {1, 1};
  config.num_attention_heads = {4, 4};
  config.cross_attention_dim = {48, 48};
  config.norm_num_groups = 8;
  config.time_embedding_dim = 128;
  return config;
}

TEST(GradientCheckpointing, NeedsLessMemory) {
  UNet2DConditionModel unet(mid_size());
  {
    torch::NoGradGuard no_grad;
    at::manual_seed(1);
    for (auto& parameter : unet->parameters()) {
      if (parameter.dim() > 1) {
        parameter.normal_(0, 1 / std::sqrt(static_cast<double>(parameter[0].numel())));
      } else {
        parameter.fill_(1);
      }
    }
  }
  AdapterOptions options;
  options.lora.rank = 4;
  Adapter adapter(unet, options, /*image_embedding_size=*/24, /*seed=*/1);
  const TensorMap in{{"sample", at::randn({1, 9, 24, 24})},
                     {"timestep", at::full({1}, 500, at::kLong)},
                     {"encoder_hidden_states", at::randn({1, 7, 48})}};
  const at::Tensor embeds = at::randn({1, 24});
  const Step kept = forward_backward(unet, adapter, in, embeds, false);
  const Step repeated = forward_backward(unet, adapter, in, embeds, true);
  RecordProperty("bytes_kept", std::to_string(kept.peak_bytes));
  RecordProperty("bytes_repeated", std::to_string(repeated.peak_bytes));
  EXPECT_LT(2 * repeated.peak_bytes, kept.peak_bytes)
      << repeated.peak_bytes << " against " << kept.peak_bytes;
  for (size_t i = 0; i < kept.gradients.size(); ++i) {
    EXPECT_TRUE(at::equal(kept.gradients[i].tensor, repeated.gradients[i].tensor))
        << kept.gradients[i].name;
  }
}

TEST(GradientCheckpointing, RunsTheLayerOnceWhereNothingIsRecorded) {
  int runs = 0;
  const auto layer = [&runs](const std::vector<at::Tensor>& inputs) {
    ++runs;
    return at::sigmoid(inputs[0]);
  };
  at::Tensor input = at::ones({3}).set_requires_grad(true);
  {
    torch::NoGradGuard no_grad;
    checkpoint(layer, {input});
    EXPECT_EQ(runs, 1);
  }
  const at::Tensor output = checkpoint(layer, {input, at::Tensor()});
  EXPECT_EQ(runs, 2);
  output.sum().backward();
  EXPECT_EQ(runs, 3);
  EXPECT_NEAR(input.grad()[0].item<double>(), 0.19661, 1e-5);
}

TEST(GradientCheckpointing, RefusesALayerThatSavesAnotherNumberOfTensors) {
  int runs = 0;
  at::Tensor input = at::ones({3}).set_requires_grad(true);
  const at::Tensor output = checkpoint(
      [&runs](const std::vector<at::Tensor>& inputs) {
        return ++runs == 1 ? at::sigmoid(at::sigmoid(inputs[0])) : at::sigmoid(inputs[0]);
      },
      {input});
  EXPECT_THROW(output.sum().backward(), c10::Error);
}

}  // namespace
}  // namespace limewash::models
