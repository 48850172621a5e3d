// Loading a diffusers folder: what is read, and what is refused by name.

#include "models/base_model.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/clip_tokenizer.h"
#include "models/strict_json.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

BaseOptions golden_base() {
  BaseOptions options;
  options.model = golden_path("base").string();
  return options;
}

/// A copy of the golden base that a test may spoil.
class SpoiledBase : public ::testing::Test {
 protected:
  SpoiledBase() {
    std::filesystem::copy(
        golden_path("base"), folder.path() / "base", std::filesystem::copy_options::recursive);
    options.model = (folder.path() / "base").string();
  }
  std::filesystem::path file(const std::string& name) const {
    return folder.path() / "base" / name;
  }
  void edit_json(const std::string& name, const std::string& key, const nlohmann::json& value) {
    auto object = nlohmann::json::parse(read_file(file(name)));
    object[key] = value;
    write_file_atomically(file(name), object.dump());
  }
  std::string error_of_loading() {
    return message_of<InputError>([&] { load_base_model(options); });
  }
  TemporaryFolder folder;
  BaseOptions options;
};

TEST(BaseModel, LoadsAWholeFolder) {
  BaseModel base = load_base_model(golden_base());
  EXPECT_EQ(base.name, "base");
  EXPECT_EQ(base.fingerprint.size(), 16u);
  EXPECT_EQ(base.unet->config().in_channels, 9);
  EXPECT_EQ(base.schedule.config().prediction_type, PredictionType::kVPrediction);
  EXPECT_EQ(base.image_encoder->config().projection_dim, 10);
}

TEST(BaseModel, TakesAnotherScheduleForTrainingAndSampling) {
  auto options = golden_base();
  const auto scheduler = golden_path("base") / "scheduler/scheduler_config.json";
  const auto own = schedule_config(options, scheduler);
  options.zero_terminal_snr = own.rescale_betas_zero_snr ? "off" : "on";
  options.timestep_spacing = "trailing";
  const BaseModel base = load_base_model(options);
  EXPECT_NE(base.schedule.config().rescale_betas_zero_snr, own.rescale_betas_zero_snr);
  EXPECT_EQ(base.schedule.inference_timesteps(4).front(), own.num_train_timesteps - 1);
  options.zero_terminal_snr = "on";
  options.prediction_type = "epsilon";
  EXPECT_THAT(message_of<ConfigError>([&] { schedule_config(options, scheduler); }),
              AllOf(HasSubstr("base.zero_terminal_snr"), HasSubstr("base.prediction_type")));
  options.zero_terminal_snr = "off";
  EXPECT_EQ(schedule_config(options, scheduler).prediction_type, PredictionType::kEpsilon);
}

TEST(BaseModel, EmptyPromptAgreesWithTransformers) {
  BaseModel base = load_base_model(golden_base());
  const std::vector<int64_t> ids = {38, 39, 39, 39, 39, 39, 39, 39, 39};
  EXPECT_TRUE(
      at::equal(base.tokenizer->encode_batch({""}), at::tensor(ids, at::kLong).unsqueeze(0)));
  expect_close(encode_empty_prompt(base), golden("base/text_outputs").at("empty_prompt"));
}

TEST(BaseModel, LatentsAreScaledByTheFactorOfTheConfig) {
  BaseModel base = load_base_model(golden_base());
  const auto in = golden("base/vae_inputs"), out = golden("base/vae_outputs");
  const auto [mean, deviation] = encode_pixels(base, in.at("sample"));
  expect_close(mean, out.at("mean") * 0.3);
  expect_close(deviation, out.at("std") * 0.3);
  torch::NoGradGuard no_grad;
  expect_close(decode_latents(base, in.at("latents") * 0.3), out.at("sample"));
}

TEST(BaseModel, ALargeBatchGoesThroughTheVaeInPieces) {
  BaseModel base = load_base_model(golden_base());
  constexpr int64_t kSide = 512;  // two of them make a piece
  static_assert(kPixelsAtOnce == 2 * kSide * kSide);
  at::manual_seed(5);
  const auto pixels = at::rand({3, 3, kSide, kSide}) * 2 - 1;
  const auto [mean, deviation] = encode_pixels(base, pixels);
  const auto [own_mean, own_deviation] = encode_pixels(base, pixels.slice(0, 2));
  expect_close(mean.slice(0, 2), own_mean);
  expect_close(deviation.slice(0, 2), own_deviation);
  torch::NoGradGuard no_grad;
  const auto decoded = decode_latents(base, mean);
  EXPECT_EQ(decoded.sizes(), pixels.sizes());
  expect_close(decoded.slice(0, 2), decode_latents(base, own_mean));
}

TEST(BaseModel, ReferencesOfAnySizeAgreeWithTransformers) {
  BaseModel base = load_base_model(golden_base());
  const auto pictures = golden("base/pictures");
  for (const std::string size : {"14", "9", "37"}) {
    const at::Tensor rgb = pictures.at("rgb_" + size).to(at::kFloat) / 255;
    const at::Tensor& expected = pictures.at("image_embeds_" + size);
    expect_close(encode_reference(base, rgb), expected);
  }
}

TEST(BaseModel, ADroppedReferenceIsTheZeroEmbeddingOrTheEncodedZeroInput) {
  BaseModel base = load_base_model(golden_base());
  const at::Tensor embedding = encode_dropped_reference(base, ReferenceFeatures::kImageEmbeds);
  EXPECT_TRUE(at::equal(embedding, at::zeros({1, 10})));
  expect_close(encode_dropped_reference(base, ReferenceFeatures::kPenultimateHiddenState),
               golden("ip_adapter/dropped").at("penultimate_hidden_state"));
  // The same kind of features as those of a picture.
  const at::Tensor rgb = golden("base/pictures").at("rgb_14").to(at::kFloat) / 255;
  EXPECT_EQ(
      encode_reference(base, rgb, ReferenceFeatures::kPenultimateHiddenState).sizes().slice(1),
      golden("ip_adapter/dropped").at("penultimate_hidden_state").sizes().slice(1));
}

TEST(BaseModel, FingerprintFollowsTheEncodersAndNotTheUNet) {
  const std::string original = load_base_model(golden_base()).fingerprint;
  TemporaryFolder folder;
  BaseOptions options;
  options.model = (folder.path() / "copy").string();
  std::filesystem::copy(
      golden_path("base"), options.model, std::filesystem::copy_options::recursive);
  EXPECT_EQ(load_base_model(options).fingerprint, original);
  const auto change = [&](const std::string& name) {
    const auto path = std::filesystem::path(options.model) / name;
    auto file = read_safetensors(path);
    TensorMap tensors;
    for (const auto& [key, tensor] : file.tensors) tensors[key] = tensor.clone();
    tensors.begin()->second.add_(1);
    write_safetensors(path, tensors, file.metadata);
  };
  change("unet/diffusion_pytorch_model.safetensors");
  EXPECT_EQ(load_base_model(options).fingerprint, original);
  change("vae/diffusion_pytorch_model.safetensors");
  EXPECT_NE(load_base_model(options).fingerprint, original);
}

TEST(BaseModel, TakesAnotherImageEncoder) {
  BaseOptions options = golden_base();
  TemporaryFolder folder;
  std::filesystem::copy(golden_path("base/image_encoder"), folder.path() / "encoder");
  std::filesystem::remove(folder.path() / "encoder/preprocessor_config.json");
  options.image_encoder = (folder.path() / "encoder").string();
  const BaseModel base = load_base_model(options);
  EXPECT_EQ(base.preprocessing.crop, 14);
  EXPECT_NE(base.fingerprint, load_base_model(golden_base()).fingerprint);
}

TEST(BaseOptions, NamesAFolderThatIsNotThere) {
  BaseOptions options;
  options.model = "/nowhere/at/all";
  EXPECT_THAT(message_of<ConfigError>([&] { options.validate(); }),
              AllOf(HasSubstr("base.model"), HasSubstr("/nowhere/at/all")));
}

TEST_F(SpoiledBase, MissingSurplusAndMisshapenTensorsAreNamed) {
  const std::string name = "unet/diffusion_pytorch_model.safetensors";
  TensorMap tensors;
  for (const auto& [key, tensor] : read_safetensors(file(name)).tensors)
    tensors[key] = tensor.clone();
  const at::Tensor conv_in = tensors.at("conv_in.weight");

  tensors.erase("conv_in.weight");
  write_safetensors(file(name), tensors);
  EXPECT_THAT(error_of_loading(),
              AllOf(HasSubstr(file(name).string()),
                    HasSubstr("missing tensors: conv_in.weight [12, 9, 3, 3]")));

  tensors["conv_in.weight"] = at::zeros({12, 4, 3, 3});
  write_safetensors(file(name), tensors);
  EXPECT_THAT(
      error_of_loading(),
      AllOf(HasSubstr("conv_in.weight"), HasSubstr("[12, 4, 3, 3]"), HasSubstr("[12, 9, 3, 3]")));

  tensors["conv_in.weight"] = conv_in;
  tensors["conv_in.gain"] = at::zeros({1});
  write_safetensors(file(name), tensors);
  EXPECT_THAT(error_of_loading(),
              HasSubstr("surplus tensors that config.json has no place for: conv_in.gain"));

  tensors.erase("conv_in.gain");
  tensors["conv_in.bias"] = at::zeros({12}, at::kLong);
  write_safetensors(file(name), tensors);
  EXPECT_THAT(error_of_loading(), AllOf(HasSubstr("conv_in.bias"), HasSubstr("floating point")));
}

TEST_F(SpoiledBase, TruncatedAndAbsentWeightsAreNamed) {
  const std::string name = "vae/diffusion_pytorch_model.safetensors";
  std::filesystem::resize_file(file(name), std::filesystem::file_size(file(name)) / 2);
  EXPECT_THAT(error_of_loading(), AllOf(HasSubstr(file(name).string()), HasSubstr("truncated")));
  std::filesystem::remove(file(name));
  EXPECT_THAT(error_of_loading(),
              AllOf(HasSubstr("diffusion_pytorch_model.safetensors"),
                    HasSubstr("diffusion_pytorch_model.fp16")));
}

TEST_F(SpoiledBase, OptionsThatWouldChangeTheNetworkAreRefused) {
  const struct {
    const char* name;
    const char* key;
    nlohmann::json value;
    const char* expected;
  } cases[] = {
      {"unet/config.json", "class_embed_type", "timestep", "class_embed_type is \"timestep\""},
      {"unet/config.json", "act_fn", "gelu", "act_fn is \"gelu\": expected \"silu\" or \"swish\""},
      {"unet/config.json", "only_cross_attention", true, "only_cross_attention is true"},
      {"unet/config.json", "brand_new_option", 3, "brand_new_option is 3"},
      {"unet/config.json", "block_out_channels", {12, 17}, "multiples of norm_num_groups"},
      {"unet/config.json",
       "down_block_types",
       {"DownBlock2D", "AttnDownBlock2D"},
       "down_block_types"},
      {"unet/config.json", "in_channels", "nine", "in_channels is \"nine\""},
      {"unet/config.json", "layers_per_block", 1e9, "integers from 1 to 64"},
      {"unet/config.json", "cross_attention_dim", nlohmann::json::object(), "cross_attention_dim"},
      {"vae/config.json", "shift_factor", 0.1, "shift_factor is 0.1"},
      {"vae/config.json", "_class_name", "VQModel", "_class_name is \"VQModel\""},
      {"vae/config.json",
       "_class_name",
       "AutoencoderTiny",
       "encoder_block_out_channels is missing"},
      {"text_encoder/config.json", "hidden_act", "relu", "hidden_act is \"relu\""},
      {"text_encoder/config.json", "model_type", "t5", "model_type is \"t5\""},
      {"image_encoder/config.json", "num_attention_heads", 4, "num_attention_heads is 4"},
      {"image_encoder/preprocessor_config.json", "resample", 2, "resample is 2"},
      {"image_encoder/preprocessor_config.json", "crop_size", 224, "224"},
      {"scheduler/scheduler_config.json", "clip_sample", true, "clip_sample is true"},
  };
  for (const auto& [name, key, value, expected] : cases) {
    const std::string before = read_file(file(name));
    edit_json(name, key, value);
    EXPECT_THAT(error_of_loading(), AllOf(HasSubstr(file(name).string()), HasSubstr(expected)));
    write_file_atomically(file(name), before);
  }
  load_base_model(options);
}

TEST_F(SpoiledBase, InertAndUnsetOptionsPass) {
  edit_json("unet/config.json", "sample_size", 64);
  edit_json("unet/config.json", "upcast_attention", true);
  edit_json("unet/config.json", "an_option_of_tomorrow", nullptr);
  edit_json("text_encoder/config.json", "torch_dtype", "float16");
  load_base_model(options);
}

TEST_F(SpoiledBase, PartsThatDoNotFitEachOtherAreNamed) {
  std::filesystem::remove_all(file("unet"));
  std::filesystem::copy(golden_path("variants/unet"), file("unet"));
  EXPECT_THAT(error_of_loading(),
              AllOf(HasSubstr("cross_attention_dim is 9"), HasSubstr("hidden_size is 15")));
}

TEST_F(SpoiledBase, BrokenJsonIsNamed) {
  const auto path = file("unet/config.json");
  for (const std::string& text : {std::string("{"),
                                  std::string("[1]"),
                                  std::string(),
                                  std::string(R"({"a":1,"a":2})"),
                                  "{\"a\":" + std::string(5000, '[') + std::string(5000, ']') + "}",
                                  std::string("\x00\xff\x12", 3)}) {
    write_file_atomically(path, text);
    EXPECT_THAT(error_of_loading(), HasSubstr(path.string())) << text.substr(0, 40);
  }
}

TEST_F(SpoiledBase, TokenizersOfEitherKindGiveTheEmptyPrompt) {
  const auto read = [&](int64_t vocab_size) {
    return ClipTokenizer::from_folder(file("tokenizer"), vocab_size, 9).encode_batch({""});
  };
  const at::Tensor expected = read(40);
  const nlohmann::json vocabulary = nlohmann::json::parse(read_file(file("tokenizer/vocab.json")));
  nlohmann::json fast = {{"model", {{"vocab", vocabulary}}},
                         {"added_tokens", {{{"id", 39}, {"content", "<|endoftext|>"}}}}};
  fast["model"]["vocab"].erase("<|endoftext|>");
  std::filesystem::remove(file("tokenizer/vocab.json"));
  std::filesystem::remove(file("tokenizer/special_tokens_map.json"));
  write_file_atomically(file("tokenizer/tokenizer.json"), fast.dump());
  EXPECT_TRUE(at::equal(read(40), expected));

  // SD 2 pads with "!".
  write_file_atomically(file("tokenizer/tokenizer_config.json"), R"({"pad_token": "t0"})");
  EXPECT_EQ(read(40)[0][2].item<int64_t>(), 0);
  EXPECT_THAT(message_of<InputError>([&] { read(39); }), HasSubstr("has the id 39"));
  std::filesystem::remove(file("tokenizer/tokenizer.json"));
  EXPECT_THAT(message_of<InputError>([&] { read(40); }),
              HasSubstr("expected vocab.json or tokenizer.json"));
}

TEST_F(SpoiledBase, PromptsAreEncodedAsABatch) {
  BaseModel base = load_base_model(options);
  // A vocabulary of no letters: only the special tokens within a text make another prompt.
  const at::Tensor states = encode_prompts(base, {"", "<|startoftext|>"});
  EXPECT_EQ(states.sizes(), at::IntArrayRef({2, 9, 15}));
  expect_close(states.slice(0, 0, 1), encode_empty_prompt(base));
  EXPECT_GT((states[1] - states[0]).abs().max().item<double>(), 1e-4);
}

}  // namespace
}  // namespace limewash::models
