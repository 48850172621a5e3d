#include "models/model_run.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "runtime/error.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ModelRunTest : public ::testing::Test {
 protected:
  TensorMap run(const std::string& part,
                const std::filesystem::path& model,
                const TensorMap& tensors,
                const std::filesystem::path& adapter = {},
                const ModelRunOptions& options = {}) {
    write_safetensors(folder.path() / "x.safetensors", tensors);
    std::vector<std::filesystem::path> adapters;
    if (!adapter.empty()) adapters.push_back(adapter);
    run_model_part(part,
                   model,
                   adapters,
                   folder.path() / "x.safetensors",
                   folder.path() / "y.safetensors",
                   options);
    return read_safetensors(folder.path() / "y.safetensors").tensors;
  }
  /// The base and its adapter run for gradients of "probe", with the named one of the adapter's
  /// recorded inputs.
  TensorMap gradients_given(const std::string& adapter_input) {
    const auto expected = golden("base/adapter_outputs");
    TensorMap inputs = golden("base/unet_inputs");
    inputs[adapter_input] = expected.at(adapter_input);
    inputs["grad_sample"] = expected.at("probe");
    return run("unet",
               golden_path("base"),
               inputs,
               golden_path("base/adapter"),
               {.precision = "fp32", .gradients = true});
  }
  template <class Error = InputError>
  std::string error_of(const std::string& part,
                       const TensorMap& tensors,
                       const std::string& adapter = "") {
    return message_of<Error>([&] { run(part, golden_path("base"), tensors, adapter); });
  }
  TemporaryFolder folder;
};

TEST_F(ModelRunTest, RunsEveryPartOfABaseFolder) {
  const auto base = golden_path("base");
  const auto vae = golden("base/vae_inputs"), vae_expected = golden("base/vae_outputs");
  expect_close(run("unet", base, golden("base/unet_inputs")).at("sample"),
               golden("base/unet_outputs").at("sample"));
  const auto encoded = run("vae-encode", base, {{"sample", vae.at("sample")}});
  expect_close(encoded.at("mean"), vae_expected.at("mean"));
  expect_close(encoded.at("std"), vae_expected.at("std"));
  expect_close(run("vae-decode", base, {{"latents", vae.at("latents")}}).at("sample"),
               vae_expected.at("sample"));
  const auto text = run("text-encoder", base, golden("base/text_inputs"));
  expect_close(text.at("last_hidden_state"), golden("base/text_outputs").at("last_hidden_state"));
  expect_close(text.at("pooler_output"), golden("base/text_outputs").at("pooler_output"));
  const auto image = run("image-encoder", base, golden("base/vision_inputs"));
  expect_close(image.at("image_embeds"), golden("base/vision_outputs").at("image_embeds"));
  expect_close(image.at("penultimate_hidden_state"),
               golden("base/vision_outputs").at("penultimate_hidden_state"));
}

TEST_F(ModelRunTest, RunsTheFolderOfOneNetwork) {
  expect_close(run("unet", golden_path("base/unet"), golden("base/unet_inputs")).at("sample"),
               golden("base/unet_outputs").at("sample"));
}

TEST_F(ModelRunTest, RunsAnAdapterAndItsProjection) {
  const auto expected = golden("base/adapter_outputs");
  const auto adapter = golden_path("base/adapter");
  const auto tokens = run("ip-projection",
                          golden_path("base"),
                          {{"image_embeds", expected.at("image_embeds")}},
                          adapter);
  auto inputs = golden("base/unet_inputs");
  inputs["ip_hidden_states"] = tokens.at("ip_hidden_states");
  expect_close(run("unet", golden_path("base"), inputs, adapter).at("sample"),
               expected.at("sample"));
}

TEST_F(ModelRunTest, GivesTheGradientsOfTheAdapter) {
  const auto results = gradients_given("image_embeds");
  const auto expected = golden("base/adapter_outputs");
  expect_close(results.at("sample"), expected.at("sample"));
  size_t compared = 0;
  for (const auto& [name, gradient] : expected) {
    if (!name.starts_with("gradient.")) continue;
    expect_close(results.at("grad." + name.substr(9)), gradient, 1e-4);
    ++compared;
  }
  EXPECT_EQ(results.size(), compared + 1);
  EXPECT_GT(compared, 20u);
}

TEST_F(ModelRunTest, LeavesOutGradientsThatTheInputsDoNotReach) {
  const auto results = gradients_given("ip_hidden_states");
  EXPECT_FALSE(results.contains("grad.image_proj.proj.weight"));
  EXPECT_TRUE(results.contains("grad.ip_adapter.1.to_k_ip.weight"));
}

TEST_F(ModelRunTest, RunsAnAutoencoderTiny) {
  const auto vae = golden_path("variants/vae_tiny");
  const auto in = golden("variants/vae_tiny_inputs"), out = golden("variants/vae_tiny_outputs");
  const auto encoded = run("vae-encode", vae, {{"sample", in.at("sample")}});
  expect_close(encoded.at("latents"), out.at("latents"));
  EXPECT_TRUE(at::equal(encoded.at("mean"), encoded.at("latents")));
  EXPECT_EQ(encoded.at("std").abs().max().item<float>(), 0);
  expect_close(run("vae-decode", vae, {{"latents", in.at("latents")}}).at("sample"),
               out.at("sample"));
  const auto info = nlohmann::json::parse(model_info_json(vae));
  EXPECT_EQ(info["parts"]["vae"]["class"], "AutoencoderTiny");
  EXPECT_EQ(info["parts"]["vae"]["latent_channels"], 3);
}

TEST_F(ModelRunTest, ComputesInBf16WhereAskedTo) {
  const auto results = run("unet",
                           golden_path("base"),
                           golden("base/unet_inputs"),
                           {},
                           {.precision = "bf16", .gradients = false});
  const auto expected = golden("base/unet_outputs").at("sample");
  EXPECT_EQ(results.at("sample").scalar_type(), at::kFloat);
  expect_close(results.at("sample"), expected, 0.05);
  EXPECT_GT(largest_difference(results.at("sample"), expected), 1e-4);
}

TEST_F(ModelRunTest, RefusesOptionsThatThePartDoesNotHave) {
  const auto error = [&](const std::string& part, const ModelRunOptions& options) {
    return message_of<ConfigError>([&] { run(part, golden_path("base"), {}, {}, options); });
  };
  EXPECT_THAT(error("unet", {.precision = "fp16", .gradients = false}), HasSubstr("--precision"));
  EXPECT_THAT(error("vae-encode", {.precision = "fp32", .gradients = true}), HasSubstr("unet"));
  EXPECT_THAT(error("unet", {.precision = "fp32", .gradients = true}), HasSubstr("--adapter"));
}

TEST_F(ModelRunTest, AddsControlResiduals) {
  expect_close(
      run("unet", golden_path("variants/unet"), golden("variants/unet_inputs")).at("sample"),
      golden("variants/unet_outputs").at("controlled_sample"));
}

TEST_F(ModelRunTest, NamesWhatIsWrongWithTheInputs) {
  TensorMap inputs = golden("base/unet_inputs");
  const at::Tensor sample = inputs.at("sample");
  inputs.erase("sample");
  EXPECT_THAT(error_of("unet", inputs), HasSubstr("no tensor is named sample"));
  inputs["sample"] = at::zeros({2, 4, 8, 8});
  EXPECT_THAT(
      error_of("unet", inputs),
      AllOf(
          HasSubstr("x.safetensors"), HasSubstr("[2, 4, 8, 8]"), HasSubstr("[any, 9, any, any]")));
  inputs["sample"] = sample.to(at::kLong);
  EXPECT_THAT(error_of("unet", inputs), HasSubstr("sample has the dtype Long"));
  inputs["sample"] = sample;
  inputs["hidden"] = sample;
  EXPECT_THAT(error_of("unet", inputs), HasSubstr("hidden is no input of this part"));
  inputs.erase("hidden");
  inputs["ip_hidden_states"] = at::zeros({2, 4, 15});
  EXPECT_THAT(error_of("unet", inputs), HasSubstr("ip_hidden_states is no input"));
  inputs.erase("ip_hidden_states");
  inputs["timestep"] = at::zeros({3}, at::kLong);
  EXPECT_THAT(error_of("unet", inputs), HasSubstr("timestep has the shape [3]: expected [2]"));
  EXPECT_THAT(error_of("text-encoder", {{"input_ids", at::full({1, 3}, 40, at::kLong)}}),
              HasSubstr("ids from 0 to 39"));
  EXPECT_THAT(error_of("text-encoder", {{"input_ids", at::zeros({1, 10}, at::kLong)}}),
              HasSubstr("expected [N, 1 to 9]"));
  EXPECT_THAT(error_of("vae-encode", {{"sample", at::zeros({1, 3, 9, 8})}}),
              HasSubstr("multiples of 4"));
  EXPECT_THAT(error_of("vae-encode", {{"sample", at::zeros({0, 3, 8, 8})}}),
              HasSubstr("[0, 3, 8, 8]"));
}

TEST_F(ModelRunTest, NamesUnknownPartsAndMissingFolders) {
  EXPECT_THAT(error_of<ConfigError>("unett", {}),
              AllOf(HasSubstr("unett"), HasSubstr("vae-decode")));
  EXPECT_THAT(error_of<ConfigError>("ip-projection", {{"image_embeds", at::zeros({1, 10})}}),
              HasSubstr("--adapter"));
  EXPECT_THAT(error_of<ConfigError>("vae-encode", {}, "somewhere"), HasSubstr("--adapter"));
  EXPECT_THAT(message_of<InputError>([&] { run("unet", folder.path() / "none", {}); }),
              HasSubstr("none"));
  EXPECT_THAT(message_of<InputError>([&] { run("unet", folder.path(), {}); }),
              HasSubstr("unet/config.json"));
  EXPECT_THAT(error_of("unet", golden("base/unet_inputs"), folder.path().string()),
              HasSubstr("no adapter"));
}

TEST_F(ModelRunTest, InfoCountsTheParameters) {
  const auto info = nlohmann::json::parse(model_info_json(golden_path("base")));
  int64_t parameters = 0;
  for (const auto& [name, tensor] :
       read_safetensors(golden_path("base/unet/diffusion_pytorch_model.safetensors")).tensors) {
    parameters += tensor.numel();
  }
  EXPECT_EQ(info["parts"]["unet"]["parameters"], parameters);
  EXPECT_EQ(info["parts"]["unet"]["in_channels"], 9);
  EXPECT_EQ(info["parts"]["unet"]["inpainting"], true);
  EXPECT_EQ(info["scheduler"]["prediction_type"], "v_prediction");
  EXPECT_EQ(info["parts"].size(), 4u);
  const auto& estimate = info["estimated_training_gib"];
  EXPECT_GT(estimate["fp32"], estimate["fp32_gradient_checkpointing"]);
  EXPECT_GT(estimate["fp32"], estimate["bf16"]);
  const auto single = nlohmann::json::parse(model_info_json(golden_path("variants/vae")));
  EXPECT_EQ(single["parts"]["vae"]["latent_channels"], 3);
  EXPECT_THAT(model_info_text(golden_path("base")), HasSubstr("unet: UNet2DConditionModel"));
  EXPECT_THROW(model_info_json(folder.path()), InputError);
}

}  // namespace
}  // namespace limewash::models
