#include "models/autoencoder_tiny.h"

#include <fstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "runtime/error.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(AutoencoderTiny, AgreesWithDiffusersOnSizesThatNothingDivides) {
  torch::NoGradGuard no_grad;
  AutoencoderTiny vae = load_autoencoder_tiny(golden_path("variants/vae_tiny"));
  const auto in = golden("variants/vae_tiny_inputs"), out = golden("variants/vae_tiny_outputs");
  expect_close(vae->encode(in.at("sample")), out.at("latents"));
  expect_close(vae->decode(in.at("latents")), out.at("sample"));
}

TEST(AutoencoderTiny, ScalesLatentsToBytesAndBackAsDiffusersDoes) {
  AutoencoderTiny vae = load_autoencoder_tiny(golden_path("variants/vae_tiny"));
  const auto in = golden("variants/vae_tiny_inputs"), out = golden("variants/vae_tiny_outputs");
  const at::Tensor scaled = vae->scale_latents(in.at("latents"));
  expect_close(scaled, out.at("scaled"));
  expect_close(vae->unscale_latents(scaled), out.at("unscaled"));
}

TEST(AutoencoderTiny, BoundsLatentsBeforeItDecodes) {
  torch::NoGradGuard no_grad;
  AutoencoderTiny vae = load_autoencoder_tiny(golden_path("variants/vae_tiny"));
  const at::Tensor far = vae->decode(at::full({1, 3, 2, 2}, 1e4));
  EXPECT_LE((far - vae->decode(at::full({1, 3, 2, 2}, 1e6))).abs().max().item<double>(), 1e-6);
}

TEST(AutoencoderTiny, RefusesConfigurationsThatItWouldComputeDifferently) {
  TemporaryFolder folder;
  const auto path = folder.path() / "config.json";
  const auto error_with = [&](const char* key, const nlohmann::json& value) {
    std::ifstream file(golden_path("variants/vae_tiny/config.json"));
    auto config = nlohmann::json::parse(file);
    config[key] = value;
    std::ofstream(path) << config;
    return message_of<InputError>([&] { AutoencoderTinyConfig::from_json(path); });
  };
  EXPECT_THAT(error_with("act_fn", "tanh"), AllOf(HasSubstr("act_fn"), HasSubstr("tanh")));
  EXPECT_THAT(error_with("upsample_fn", "bilinear"), HasSubstr("upsample_fn"));
  EXPECT_THAT(error_with("encoder_block_out_channels", {6, 7, 6}),
              HasSubstr("same width for all stages"));
  EXPECT_THAT(error_with("num_decoder_blocks", {1, 1, 1}), HasSubstr("num_decoder_blocks"));
  EXPECT_THAT(error_with("latent_magnitude", 0), HasSubstr("latent_magnitude"));
  EXPECT_THAT(error_with("surprise", 1), HasSubstr("surprise"));
}

}  // namespace
}  // namespace limewash::models
