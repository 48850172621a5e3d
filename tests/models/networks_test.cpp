// Forward passes against diffusers and transformers.

#include <gmock/gmock.h>
#include <torch/torch.h>

#include "models/autoencoder_kl.h"
#include "models/clip.h"
#include "models/unet.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::HasSubstr;

TEST(UNet, InpaintingNetworkAgreesWithDiffusers) {
  torch::NoGradGuard no_grad;
  UNet2DConditionModel unet = load_unet(golden_path("base/unet"));
  const auto in = golden("base/unet_inputs");
  expect_close(unet->forward(in.at("sample"), in.at("timestep"), in.at("encoder_hidden_states")),
               golden("base/unet_outputs").at("sample"));
}

TEST(UNet, OtherOptionsAndHalfPrecisionFilesAgreeWithDiffusers) {
  torch::NoGradGuard no_grad;
  UNet2DConditionModel unet = load_unet(golden_path("variants/unet"));
  const auto in = golden("variants/unet_inputs");
  expect_close(unet->forward(in.at("sample"), in.at("timestep"), in.at("encoder_hidden_states")),
               golden("variants/unet_outputs").at("sample"));
}

TEST(UNet, AddsTheResidualsOfAControlNet) {
  torch::NoGradGuard no_grad;
  UNet2DConditionModel unet = load_unet(golden_path("variants/unet"));
  const auto in = golden("variants/unet_inputs");
  ControlResiduals control;
  control.mid_block = in.at("mid_block_residual");
  for (size_t i = 0; in.contains("down_block_residual_" + std::to_string(i)); ++i) {
    control.down_blocks.push_back(in.at("down_block_residual_" + std::to_string(i)));
  }
  ASSERT_GT(control.down_blocks.size(), 3u);
  expect_close(unet->forward(
                   in.at("sample"), in.at("timestep"), in.at("encoder_hidden_states"), {}, control),
               golden("variants/unet_outputs").at("controlled_sample"));
}

TEST(UNet, TellsNineChannelsFromFour) {
  EXPECT_EQ(load_unet(golden_path("base/unet"))->config().in_channels, 9);
  EXPECT_EQ(load_unet(golden_path("variants/unet"))->config().in_channels, 4);
}

TEST(UNet, ListsAttentionsInTheOrderOfTheIpAdapterFile) {
  UNet2DConditionModel unet = load_unet(golden_path("base/unet"));
  const auto attentions = unet->attentions();
  ASSERT_EQ(attentions.size(), 12u);
  EXPECT_EQ(attentions[0].first, "down_blocks.0.attentions.0.transformer_blocks.0.attn1");
  EXPECT_EQ(attentions[5].first, "up_blocks.1.attentions.0.transformer_blocks.0.attn2");
  EXPECT_EQ(attentions[11].first, "mid_block.attentions.0.transformer_blocks.0.attn2");
}

TEST(UNet, RefusesInputsOfAnotherShape) {
  UNet2DConditionModel unet = load_unet(golden_path("base/unet"));
  const auto run = [&](at::IntArrayRef sample, at::IntArrayRef states) {
    unet->forward(at::zeros(sample), at::zeros({1}, at::kLong), at::zeros(states));
  };
  EXPECT_THAT(message_of<c10::Error>([&] {
                run({1, 4, 8, 8}, {1, 3, 15});
              }),
              HasSubstr("expected [N, 9, H, W], got [1, 4, 8, 8]"));
  EXPECT_THAT(message_of<c10::Error>([&] {
                run({1, 9, 8, 8}, {1, 3, 16});
              }),
              HasSubstr("expected [1, L, 15], got [1, 3, 16]"));
}

TEST(UNet, IsFrozen) {
  for (const auto& parameter : load_unet(golden_path("base/unet"))->parameters()) {
    EXPECT_FALSE(parameter.requires_grad());
  }
}

TEST(AutoencoderKL, AgreesWithDiffusersOnAFileWithTheFirstAttentionNames) {
  torch::NoGradGuard no_grad;
  AutoencoderKL vae = load_autoencoder_kl(golden_path("base/vae"));
  const auto in = golden("base/vae_inputs"), out = golden("base/vae_outputs");
  const LatentDistribution latents = vae->encode(in.at("sample"));
  expect_close(latents.mean, out.at("mean"));
  expect_close(latents.std, out.at("std"));
  expect_close(vae->decode(in.at("latents")), out.at("sample"));
  EXPECT_DOUBLE_EQ(vae->config().scaling_factor, 0.3);
  EXPECT_EQ(vae->config().downscale(), 4);
}

TEST(AutoencoderKL, AgreesWithDiffusersWithoutAttentionAndQuantConvolutionsInBfloat16) {
  torch::NoGradGuard no_grad;
  AutoencoderKL vae = load_autoencoder_kl(golden_path("variants/vae"));
  const auto in = golden("variants/vae_inputs"), out = golden("variants/vae_outputs");
  const LatentDistribution latents = vae->encode(in.at("sample"));
  expect_close(latents.mean, out.at("mean"));
  expect_close(latents.std, out.at("std"));
  expect_close(vae->decode(in.at("latents")), out.at("sample"));
}

TEST(AutoencoderKL, RefusesPicturesThatItsStepsDoNotDivide) {
  AutoencoderKL vae = load_autoencoder_kl(golden_path("base/vae"));
  EXPECT_THAT(message_of<c10::Error>([&] {
                vae->encode(at::zeros({1, 3, 8, 10}));
              }),
              HasSubstr("multiples of 4"));
}

TEST(CLIPTextModel, AgreesWithTransformersOnAFileWithPrefixAndPositionIds) {
  torch::NoGradGuard no_grad;
  const auto out = golden("base/text_outputs");
  const CLIPTextOutput result = load_clip_text_model(golden_path("base/text_encoder"))
                                    ->forward(golden("base/text_inputs").at("input_ids"));
  expect_close(result.last_hidden_state, out.at("last_hidden_state"));
  expect_close(result.pooler_output, out.at("pooler_output"));
}

TEST(CLIPTextModel, AgreesWithTransformersOnAFileOfVersion5WithTheOldEndToken) {
  torch::NoGradGuard no_grad;
  const auto out = golden("variants/text_outputs");
  const CLIPTextOutput result = load_clip_text_model(golden_path("variants/text_encoder"))
                                    ->forward(golden("variants/text_inputs").at("input_ids"));
  expect_close(result.last_hidden_state, out.at("last_hidden_state"));
  expect_close(result.pooler_output, out.at("pooler_output"));
}

TEST(CLIPVisionModel, AgreesWithTransformers) {
  torch::NoGradGuard no_grad;
  const auto out = golden("base/vision_outputs");
  const CLIPVisionOutput result = load_clip_vision_model(golden_path("base/image_encoder"))
                                      ->forward(golden("base/vision_inputs").at("pixel_values"));
  expect_close(result.image_embeds, out.at("image_embeds"));
  expect_close(result.penultimate_hidden_state, out.at("penultimate_hidden_state"));
}

}  // namespace
}  // namespace limewash::models
