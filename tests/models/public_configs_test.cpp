// The config.json files of the public models, and the size of the networks that diffusers and
// transformers build from them (tests/golden/make_parameter_counts.py).

#include <fstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/autoencoder_kl.h"
#include "models/autoencoder_tiny.h"
#include "models/clip.h"
#include "models/unet.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::ElementsAre;

std::filesystem::path config_of(const std::string& name) {
  return golden_path("public_configs/" + name + "/config.json");
}

void expect_size_of_reference(const std::string& name, const torch::nn::Module& network) {
  std::ifstream file(golden_path("public_configs/parameter_counts.json"));
  const auto expected = nlohmann::json::parse(file).at(name);
  int64_t tensors = 0, parameters = 0;
  for (const auto& parameter : network.parameters()) {
    ++tensors;
    parameters += parameter.numel();
  }
  EXPECT_EQ(tensors, expected.at("tensors")) << name;
  EXPECT_EQ(parameters, expected.at("parameters")) << name;
}

TEST(PublicConfigs, UNetsOfStableDiffusion1And2HaveDiffusersSize) {
  for (const char* name :
       {"sd15_unet", "sd15_inpainting_unet", "sd2_inpainting_unet", "sd21_unet"}) {
    const UNet2DConditionModel unet(UNetConfig::from_json(config_of(name)));
    expect_size_of_reference(name, *unet);
    EXPECT_EQ(unet->attentions().size(), 32u) << name;
  }
}

TEST(PublicConfigs, StableDiffusion2HasLinearProjectionsAndHeadsByBlock) {
  const auto config = UNetConfig::from_json(config_of("sd2_inpainting_unet"));
  EXPECT_TRUE(config.use_linear_projection);
  EXPECT_THAT(config.num_attention_heads, ElementsAre(5, 10, 20, 20));
  EXPECT_EQ(config.in_channels, 9);
  const auto first = UNetConfig::from_json(config_of("sd15_inpainting_unet"));
  EXPECT_FALSE(first.use_linear_projection);
  EXPECT_THAT(first.num_attention_heads, ElementsAre(8, 8, 8, 8));
}

TEST(PublicConfigs, VaesHaveDiffusersSize) {
  for (const char* name : {"sd15_vae", "sd2_vae"}) {
    const AutoencoderKL vae(AutoencoderKLConfig::from_json(config_of(name)));
    expect_size_of_reference(name, *vae);
    EXPECT_DOUBLE_EQ(vae->config().scaling_factor, 0.18215) << name;
    EXPECT_EQ(vae->config().downscale(), 8) << name;
  }
  const AutoencoderTiny tiny(AutoencoderTinyConfig::from_json(config_of("taesd")));
  expect_size_of_reference("taesd", *tiny);
  EXPECT_EQ(tiny->config().downscale(), 8);
}

TEST(PublicConfigs, TextEncodersHaveTransformersSize) {
  for (const char* name : {"sd15_text_encoder", "sd2_text_encoder"}) {
    const CLIPTextModel encoder(CLIPTextConfig::from_json(config_of(name)));
    expect_size_of_reference(name, *encoder);
  }
  // Stable Diffusion 2 leaves out the last of the 24 layers, and so reads the penultimate state.
  const auto second = CLIPTextConfig::from_json(config_of("sd2_text_encoder"));
  EXPECT_EQ(second.encoder.num_hidden_layers, 23);
  EXPECT_EQ(second.encoder.hidden_act, "gelu");
}

TEST(PublicConfigs, ImageEncoderOfIpAdapterHasTransformersSize) {
  const CLIPVisionModelWithProjection encoder(
      CLIPVisionConfig::from_json(config_of("ip_adapter_image_encoder")));
  expect_size_of_reference("ip_adapter_image_encoder", *encoder);
  EXPECT_EQ(encoder->config().projection_dim, 1024);
}

}  // namespace
}  // namespace limewash::models
