// Networks held in bf16: what stays fp32, and how far results move.

#include "models/precision.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include "models/adapter.h"
#include "models/autoencoder_kl.h"
#include "models/base_model.h"
#include "models/clip.h"
#include "models/embeddings.h"
#include "models/normalization.h"
#include "models/unet.h"
#include "runtime/error.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// A rounding to bf16 is at most 2^-9 of the value; a network adds up some of them.
constexpr double kNetworkTolerance = 0.05;

TEST(Precision, NamesTheWordsThatItKnows) {
  EXPECT_EQ(compute_type("fp32"), at::kFloat);
  EXPECT_EQ(compute_type("bf16"), at::kBFloat16);
  EXPECT_THAT(message_of<ConfigError>([] { compute_type("fp16"); }),
              AllOf(HasSubstr("run.precision"), HasSubstr("fp16"), HasSubstr("bf16")));
}

/// `actual` must be `exact`, rounded to bf16; and what cancels in fp32 may differ by its rounding.
void expect_rounded(const at::Tensor& actual, const at::Tensor& exact) {
  ASSERT_EQ(actual.scalar_type(), at::kBFloat16);
  const at::Tensor bound = exact.abs() * std::pow(2.0, -8) + 1e-4;
  EXPECT_TRUE(at::all((actual.to(at::kFloat) - exact).abs() <= bound).item<bool>());
}

TEST(Precision, NormsAndSoftmaxSumInFp32) {
  torch::NoGradGuard no_grad;
  at::manual_seed(3);
  // 20,000 values of 300 +- 2: a sum in bf16 stands still at 65,536.
  const at::Tensor input = (300 + 2 * at::randn({2, 4, 5000})).to(at::kBFloat16);
  GroupNorm group_norm(2, 4, 1e-5);
  LayerNorm layer_norm(5000);
  const at::Tensor grouped = group_norm->forward(input.to(at::kFloat));
  const at::Tensor layered = layer_norm->forward(input.to(at::kFloat));
  group_norm->to(at::kBFloat16);
  layer_norm->to(at::kBFloat16);
  expect_rounded(group_norm->forward(input), grouped);
  expect_rounded(layer_norm->forward(input), layered);

  // Attention over 5,000 equal keys is a mean; a bf16 sum of exponentials would stop at 256.
  const at::Tensor query = at::zeros({1, 1, 1, 8}, at::kBFloat16);
  const at::Tensor key = at::zeros({1, 1, 5000, 8}, at::kBFloat16);
  const at::Tensor value = (3 + at::randn({1, 1, 5000, 8})).to(at::kBFloat16);
  expect_rounded(at::scaled_dot_product_attention(query, key, value),
                 value.to(at::kFloat).mean(2, /*keepdim=*/true));
}

TEST(Precision, TimestepSinusoidsAreFp32) {
  EXPECT_EQ(timestep_embedding(at::full({1}, 999, at::kBFloat16), 8, true, 0).scalar_type(),
            at::kFloat);
}

TEST(Precision, UNetTakesAndGivesFp32AndStaysNearDiffusers) {
  torch::NoGradGuard no_grad;
  for (const std::string name : {"base", "variants"}) {
    UNet2DConditionModel unet = load_unet(golden_path(name + "/unet"), at::kBFloat16);
    const auto in = golden(name + "/unet_inputs");
    const at::Tensor output =
        unet->forward(in.at("sample"), in.at("timestep"), in.at("encoder_hidden_states"));
    ASSERT_EQ(output.scalar_type(), at::kFloat);
    expect_close(output, golden(name + "/unet_outputs").at("sample"), kNetworkTolerance);
  }
}

TEST(Precision, EncodersTakeAndGiveFp32AndStayNearTheReference) {
  torch::NoGradGuard no_grad;
  AutoencoderKL vae = load_autoencoder_kl(golden_path("base/vae"));
  vae->to(at::kBFloat16);
  const auto in = golden("base/vae_inputs"), out = golden("base/vae_outputs");
  const LatentDistribution latents = vae->encode(in.at("sample"));
  ASSERT_EQ(latents.mean.scalar_type(), at::kFloat);
  expect_close(latents.mean, out.at("mean"), kNetworkTolerance);
  expect_close(latents.std, out.at("std"), kNetworkTolerance);
  expect_close(vae->decode(in.at("latents")), out.at("sample"), kNetworkTolerance);

  CLIPTextModel text = load_clip_text_model(golden_path("base/text_encoder"));
  text->to(at::kBFloat16);
  const CLIPTextOutput states = text->forward(golden("base/text_inputs").at("input_ids"));
  ASSERT_EQ(states.last_hidden_state.scalar_type(), at::kFloat);
  expect_close(states.last_hidden_state,
               golden("base/text_outputs").at("last_hidden_state"),
               kNetworkTolerance);

  CLIPVisionModelWithProjection vision = load_clip_vision_model(golden_path("base/image_encoder"));
  vision->to(at::kBFloat16);
  const CLIPVisionOutput image = vision->forward(golden("base/vision_inputs").at("pixel_values"));
  ASSERT_EQ(image.image_embeds.scalar_type(), at::kFloat);
  expect_close(
      image.image_embeds, golden("base/vision_outputs").at("image_embeds"), kNetworkTolerance);
}

TEST(Precision, AdapterStaysFp32InABf16UNetAndItsGradientsPointTheSameWay) {
  UNet2DConditionModel unet = load_unet(golden_path("base/unet"));
  const auto adapter = load_adapter(unet, golden_path("base/adapter"));
  unet->to(at::kBFloat16);
  const auto in = golden("base/unet_inputs"), expected = golden("base/adapter_outputs");
  const at::Tensor output = unet->forward(in.at("sample"),
                                          in.at("timestep"),
                                          in.at("encoder_hidden_states"),
                                          adapter->project_reference(expected.at("image_embeds")));
  expect_close(output, expected.at("sample"), kNetworkTolerance);
  (output * expected.at("probe")).sum().backward();
  auto parameters = adapter->lora_parameters();
  for (auto& parameter : adapter->ip_adapter_parameters()) parameters.push_back(parameter);
  for (const auto& [name, tensor] : parameters) {
    ASSERT_EQ(tensor.scalar_type(), at::kFloat) << name;
    ASSERT_EQ(tensor.grad().scalar_type(), at::kFloat) << name;
    const at::Tensor wanted = expected.at("gradient." + name).flatten();
    EXPECT_GT(at::cosine_similarity(tensor.grad().flatten(), wanted, 0).item<double>(), 0.99)
        << name;
  }
}

TEST(Precision, ABaseInBf16HasAnotherFingerprint) {
  BaseOptions options;
  options.model = golden_path("base").string();
  BaseModel base = load_base_model(options, at::kBFloat16);
  EXPECT_NE(base.fingerprint, load_base_model(options).fingerprint);
  for (const auto& parameter : base.unet->parameters()) {
    ASSERT_EQ(parameter.scalar_type(), at::kBFloat16);
  }
  EXPECT_EQ(encode_empty_prompt(base).scalar_type(), at::kFloat);
}

}  // namespace
}  // namespace limewash::models
