// IP-Adapters of both kinds, alone and several at once, against diffusers and a Resampler in
// PyTorch; and their files.

#include "models/ip_adapter.h"

#include <fstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/adapter.h"
#include "models/adapter_files.h"
#include "models/ip_adapter_file.h"
#include "models/resampler.h"
#include "models/weights.h"
#include "runtime/error.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const auto kPlusFile = golden_path("ip_adapter/plus.safetensors");
const auto kBaseFile = golden_path("base/adapter/ip_adapter.safetensors");

/// Largest difference of two gradients, relative to the expected one's norm.
double gradient_difference(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).norm() / expected.norm()).item<double>();
}

/// Compares every gradient whose expected name is `prefix` + the parameter's; returns their number.
size_t compare_gradients(const std::vector<NamedParameter>& parameters,
                         const TensorMap& expected,
                         const std::string& prefix) {
  size_t compared = 0;
  for (const auto& [name, tensor] : parameters) {
    const auto found = expected.find(prefix + name);
    if (found == expected.end()) continue;
    EXPECT_TRUE(tensor.grad().defined()) << name;
    if (!tensor.grad().defined()) continue;
    EXPECT_EQ(tensor.grad().sizes(), found->second.sizes()) << name;
    EXPECT_GT(found->second.norm().item<double>(), 0) << name;
    EXPECT_LE(gradient_difference(tensor.grad(), found->second), 1e-4) << name;
    ++compared;
  }
  return compared;
}

size_t count_prefix(const TensorMap& tensors, const std::string& prefix) {
  size_t count = 0;
  for (const auto& [name, tensor] : tensors) count += name.starts_with(prefix);
  return count;
}

class IpAdapterTest : public ::testing::Test {
 protected:
  at::Tensor run(at::TensorList ip_hidden_states = {}) {
    return unet->forward(
        in.at("sample"), in.at("timestep"), in.at("encoder_hidden_states"), ip_hidden_states);
  }
  static IpAdapterOptions plus_options() {
    IpAdapterOptions options;
    options.kind = "plus";
    options.tokens = 6;
    options.resampler = {.dim = 14, .depth = 2, .heads = 3, .head_dim = 4, .ff_mult = 3};
    return options;
  }
  static AdapterOptions adapter_options(const IpAdapterOptions& ip_adapter) {
    AdapterOptions options;
    options.lora.rank = 0;
    options.ip_adapter = ip_adapter;
    return options;
  }
  std::string error_of(const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata = {}) {
    write_safetensors(folder.path() / "bad.safetensors", tensors, metadata);
    return message_of<InputError>([&] { read_ip_adapter_file(folder.path() / "bad.safetensors"); });
  }

  UNet2DConditionModel unet = load_unet(golden_path("base/unet"));
  TensorMap in = golden("base/unet_inputs");
  TemporaryFolder folder;
};

TEST_F(IpAdapterTest, PlusAgreesWithDiffusersInOutputAndEveryGradient) {
  const auto expected = golden("ip_adapter/plus_outputs");
  const auto adapter = load_adapter(unet, kPlusFile);
  EXPECT_EQ(adapter->reference_features(), ReferenceFeatures::kPenultimateHiddenState);
  EXPECT_EQ(adapter->options().ip_adapter.resampler.depth, 4);
  const at::Tensor tokens = adapter->project_reference(expected.at("penultimate_hidden_state"));
  expect_close(tokens, expected.at("ip_hidden_states"));
  const at::Tensor output = run(tokens);
  expect_close(output, expected.at("sample"));

  (output * expected.at("probe")).sum().backward();
  const size_t compared =
      compare_gradients(adapter->ip_adapter_parameters(), expected, "gradient.");
  EXPECT_EQ(compared, count_prefix(expected, "gradient."));
  EXPECT_EQ(compared, 51u + 12);
  for (const auto& parameter : unet->parameters()) EXPECT_FALSE(parameter.grad().defined());
}

TEST_F(IpAdapterTest, TwoAtOnceAgreeWithDiffusers) {
  const auto expected = golden("ip_adapter/pair_outputs");
  const auto base = load_adapter(unet, kBaseFile);
  const auto plus = load_adapter(unet, kPlusFile);
  const at::Tensor base_tokens =
      base->project_reference(golden("base/adapter_outputs").at("image_embeds"));
  const auto plus_expected = golden("ip_adapter/plus_outputs");
  const at::Tensor plus_tokens =
      plus->project_reference(plus_expected.at("penultimate_hidden_state"));
  const at::Tensor output = run({base_tokens, plus_tokens});
  expect_close(output, expected.at("sample"));
  (output * plus_expected.at("probe")).sum().backward();
  EXPECT_EQ(compare_gradients(base->ip_adapter_parameters(), expected, "gradient_0."), 12u);
  EXPECT_EQ(compare_gradients(plus->ip_adapter_parameters(), expected, "gradient_1."), 12u);
}

TEST_F(IpAdapterTest, OneOfTwoAloneIsWhatItIsWithoutTheOther) {
  torch::NoGradGuard no_grad;
  const auto expected = golden("ip_adapter/plus_outputs");
  auto base = load_adapter(unet, kBaseFile);
  const auto plus = load_adapter(unet, kPlusFile);
  const at::Tensor plus_tokens = plus->project_reference(expected.at("penultimate_hidden_state"));
  const at::Tensor base_tokens =
      base->project_reference(golden("base/adapter_outputs").at("image_embeds"));
  expect_close(run({at::Tensor(), plus_tokens}), expected.at("sample"));
  base->set_enabled(false);
  expect_close(run({base_tokens, plus_tokens}), expected.at("sample"));
  // The other keeps its place when the first is gone, and the next one takes the free place.
  base.reset();
  expect_close(run({base_tokens, plus_tokens}), expected.at("sample"));
  const auto again = load_adapter(unet, kBaseFile);
  expect_close(run({base_tokens, plus_tokens}), golden("ip_adapter/pair_outputs").at("sample"));
}

TEST_F(IpAdapterTest, NothingIsLeftInTheUNet) {
  torch::NoGradGuard no_grad;
  const at::Tensor before = run();
  {
    const auto base = load_adapter(unet, kBaseFile);
    const auto plus = load_adapter(unet, kPlusFile);
  }
  EXPECT_EQ(unet->attentions()[1].second->ip_adapter_count(), 0u);
  EXPECT_TRUE(at::equal(run(at::ones({2, 4, 15})), before));
}

TEST(ResamplerTest, AgreesWithPyTorchAtOddSizes) {
  const auto golden_tensors = golden("ip_adapter/resampler");
  Resampler resampler(ResamplerConfig{.embedding_dim = 13,
                                      .dim = 17,
                                      .output_dim = 9,
                                      .depth = 3,
                                      .heads = 3,
                                      .head_dim = 5,
                                      .num_queries = 6,
                                      .ff_mult = 2});
  std::vector<NamedParameter> parameters;
  for (const auto& item : resampler->named_parameters()) {
    torch::NoGradGuard no_grad;
    at::Tensor tensor = item.value();
    ASSERT_TRUE(golden_tensors.contains("weight." + item.key())) << item.key();
    tensor.copy_(golden_tensors.at("weight." + item.key()));
    tensor.set_requires_grad(true);
    parameters.push_back({item.key(), tensor});
  }
  const at::Tensor tokens = resampler->forward(golden_tensors.at("penultimate_hidden_state"));
  expect_close(tokens, golden_tensors.at("ip_hidden_states"));
  (tokens * golden_tensors.at("probe")).sum().backward();
  EXPECT_EQ(compare_gradients(parameters, golden_tensors, "gradient."),
            count_prefix(golden_tensors, "gradient."));
}

TEST(ResamplerTest, StaysFiniteAndCloseInBf16WhereHalfPrecisionOverflows) {
  torch::NoGradGuard no_grad;
  torch::manual_seed(1);
  Resampler resampler(ResamplerConfig{.embedding_dim = 32,
                                      .dim = 24,
                                      .output_dim = 16,
                                      .depth = 3,
                                      .heads = 2,
                                      .head_dim = 8,
                                      .num_queries = 4,
                                      .ff_mult = 4});
  for (auto& item : resampler->named_parameters()) {
    at::Tensor& parameter = item.value();
    if (parameter.dim() == 1) {
      parameter.fill_(item.key().ends_with("weight") ? 1 : 0);
    } else {
      parameter.copy_(torch::randn_like(parameter) / std::sqrt(parameter.size(-1)));
    }
  }
  // A feed-forward layer adds values far beyond all others, as in the published weights.
  resampler->named_parameters()["layers.0.1.3.weight"].mul_(120'000);
  const at::Tensor input = torch::randn({2, 9, 32});
  const at::Tensor exact = resampler->forward(input);
  const at::Tensor low = resampler->forward(input.to(at::kBFloat16));
  EXPECT_EQ(low.scalar_type(), at::kFloat);
  EXPECT_TRUE(low.isfinite().all().item<bool>());
  EXPECT_LE(((low - exact).norm() / exact.norm()).item<double>(), 0.02);
  EXPECT_FALSE(resampler->forward(input.to(at::kHalf)).isfinite().all().item<bool>());
}

TEST_F(IpAdapterTest, StartsAsThePublishedTrainingDoes) {
  IpAdapter adapter(unet, plus_options(), 40, 5);
  std::map<std::string, at::Tensor> named;
  for (const auto& [name, tensor] : adapter.parameters()) named.emplace(name, tensor.detach());
  ASSERT_EQ(named.size(), 7u + 2 * 11 + 12);
  const at::Tensor latents = named.at("image_proj.latents");
  ASSERT_EQ(latents.sizes(), at::IntArrayRef({1, 6, 14}));
  EXPECT_NEAR(latents.std().item<double>(), 1 / std::sqrt(14.0), 0.3 / std::sqrt(14.0));
  for (const auto& [name, tensor] : named) {
    if (!name.starts_with("image_proj.") || name == "image_proj.latents") continue;
    const at::Tensor& weight = named.at(name.substr(0, name.rfind('.')) + ".weight");
    if (weight.dim() == 1) {  // a norm
      EXPECT_TRUE(tensor.eq(name.ends_with("weight") ? 1 : 0).all().item<bool>()) << name;
    } else {
      const double bound = 1 / std::sqrt(static_cast<double>(weight.size(1)));
      EXPECT_LE(tensor.abs().max().item<double>(), bound) << name;
      EXPECT_GT(tensor.abs().max().item<double>(), 0.5 * bound) << name;
    }
  }
  const auto attentions = unet->attentions();
  EXPECT_TRUE(at::equal(named.at(ip_key_name(3)), attentions[3].second->to_k->weight));

  UNet2DConditionModel other = load_unet(golden_path("base/unet"));
  IpAdapter same(other, plus_options(), 40, 5), different(other, plus_options(), 40, 6);
  EXPECT_TRUE(at::equal(same.parameters()[6].tensor, adapter.parameters()[6].tensor));
  size_t changed = 0;
  for (size_t i = 0; i < named.size(); ++i)
    changed += !at::equal(different.parameters()[i].tensor, adapter.parameters()[i].tensor);
  EXPECT_EQ(changed, 1u + 4 + 2 * 5);  // queries, two linear layers with bias, five of each layer
}

TEST_F(IpAdapterTest, DefaultsAreThePublishedSizes) {
  IpAdapterOptions options;
  EXPECT_EQ(options.token_count(), 4);
  EXPECT_EQ(options.reference_features(), ReferenceFeatures::kImageEmbeds);
  options.kind = "plus";
  EXPECT_EQ(options.token_count(), 16);
  EXPECT_EQ(options.resampler.depth, 4);
  EXPECT_EQ(options.resampler.heads * options.resampler.head_dim, 768);
  options.kind = "faceid";
  EXPECT_THAT(message_of<ConfigError>([&] { options.validate(); }),
              AllOf(HasSubstr("faceid"), HasSubstr("none, base or plus")));
}

TEST_F(IpAdapterTest, FullSizeFilesHaveThePublishedNamesAndShapes) {
  std::ifstream text(golden_path("ip_adapter/sd15_names.json"));
  const auto expected = nlohmann::json::parse(text);
  UNet2DConditionModel full(UNetConfig::from_json(golden_path("ip_adapter/sd15_unet/config.json")));
  for (const auto& [kind, size] : std::map<std::string, int64_t>{{"base", 1024}, {"plus", 1280}}) {
    IpAdapterOptions options;
    options.kind = kind;
    const IpAdapter adapter(full, options, size, 1);
    nlohmann::json found;
    for (const auto& [name, tensor] : adapter.parameters()) found[name] = tensor.sizes().vec();
    EXPECT_EQ(found, expected.at(kind)) << kind;
  }
}

TEST_F(IpAdapterTest, PlusSavedAndLoadedIsTheSameBitForBit) {
  Adapter adapter(unet, adapter_options(plus_options()), 40, 5);
  adapter.save(folder.path(), {{"hole", "shading"}});
  const auto file = read_ip_adapter_file(folder.path() / kIpAdapterFileName);
  EXPECT_EQ(file.metadata.at(kIpKindKey), "plus");
  EXPECT_EQ(file.metadata.at(kIpTokensKey), "6");
  EXPECT_EQ(file.metadata.at("hole"), "shading");
  EXPECT_EQ(file.image_embedding_size, 40);
  const ResamplerOptions& sizes = file.options.resampler;
  EXPECT_EQ(sizes.dim, 14);
  EXPECT_EQ(sizes.depth, 2);
  EXPECT_EQ(sizes.heads, 3);
  EXPECT_EQ(sizes.head_dim, 4);
  EXPECT_EQ(sizes.ff_mult, 3);

  UNet2DConditionModel other = load_unet(golden_path("base/unet"));
  const auto back = load_adapter(other, folder.path());
  const auto ours = adapter.ip_adapter_parameters(), theirs = back->ip_adapter_parameters();
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i].name, theirs[i].name);
    EXPECT_TRUE(at::equal(ours[i].tensor, theirs[i].tensor)) << ours[i].name;
  }
  torch::NoGradGuard no_grad;
  const at::Tensor states = torch::randn({2, 5, 40});
  EXPECT_TRUE(at::equal(adapter.project_reference(states), back->project_reference(states)));
}

TEST_F(IpAdapterTest, StartsFromAFileThatFitsAndNamesWhatDoesNot) {
  IpAdapterOptions options;
  options.kind = "plus";
  options.tokens = 5;
  options.resampler = {.dim = 14, .depth = 4, .heads = 1, .head_dim = 64, .ff_mult = 4};
  const auto attempt = [&](const IpAdapterOptions& wanted, int64_t size) {
    Adapter adapter(unet, adapter_options(wanted), size, 1);
    adapter.load_ip_adapter(kPlusFile);
    return adapter.ip_adapter_parameters().front().tensor.clone();
  };
  EXPECT_TRUE(at::equal(attempt(options, 11),
                        read_ip_adapter_file(kPlusFile).tensors.at("image_proj.latents")));
  const auto error = [&](const IpAdapterOptions& wanted, int64_t size) {
    return message_of<InputError>([&] { attempt(wanted, size); });
  };
  EXPECT_THAT(error(options, 12), HasSubstr("the size of the image features is 11, here 12"));
  IpAdapterOptions changed = options;
  changed.tokens = 16;
  EXPECT_THAT(error(changed, 11),
              AllOf(HasSubstr("plus.safetensors"), HasSubstr("tokens is 5, here 16")));
  changed = options;
  changed.resampler.depth = 3;
  changed.resampler.heads = 2;
  EXPECT_THAT(
      error(changed, 11),
      AllOf(HasSubstr("resampler.depth is 4, here 3"), HasSubstr("resampler.heads is 1, here 2")));
  changed = options;
  changed.kind = "base";
  EXPECT_THAT(error(changed, 11), HasSubstr("kind is plus, here base"));

  AdapterOptions without;
  without.ip_adapter.kind = "none";
  Adapter adapter(unet, without, 0, 1);
  EXPECT_THAT(message_of<ConfigError>([&] { adapter.load_ip_adapter(kPlusFile); }),
              HasSubstr("adapter.ip_adapter.kind is none"));
}

TEST_F(IpAdapterTest, AFrozenOneNeedsNoGradientAndStillConditionsTheLora) {
  AdapterOptions options;
  options.lora.rank = 2;
  options.ip_adapter = plus_options();
  Adapter adapter(unet, options, 40, 5);
  for (auto& parameter : adapter.ip_adapter_parameters()) parameter.tensor.set_requires_grad(false);
  for (auto& parameter : adapter.lora_parameters()) {
    torch::NoGradGuard no_grad;
    parameter.tensor.add_(0.05);
  }
  const at::Tensor tokens = adapter.project_reference(torch::randn({2, 5, 40}));
  EXPECT_FALSE(tokens.requires_grad());
  const at::Tensor with = run(tokens);
  EXPECT_GT((with - run()).abs().max().item<double>(), 1e-3);
  with.square().sum().backward();
  for (const auto& parameter : adapter.ip_adapter_parameters())
    EXPECT_FALSE(parameter.tensor.grad().defined()) << parameter.name;
  for (const auto& parameter : adapter.lora_parameters())
    EXPECT_GT(parameter.tensor.grad().abs().max().item<double>(), 0) << parameter.name;
}

TEST_F(IpAdapterTest, ComputesInTheTypeOfTheUNetAndKeepsFp32Weights) {
  const auto expected = golden("ip_adapter/plus_outputs");
  const auto adapter = load_adapter(unet, kPlusFile);
  unet->to(at::kBFloat16);
  const at::Tensor tokens = adapter->project_reference(expected.at("penultimate_hidden_state"));
  const at::Tensor output = run(tokens);
  EXPECT_LE(((output - expected.at("sample")).norm() / expected.at("sample").norm()).item<double>(),
            0.05);
  (output * expected.at("probe")).sum().backward();
  for (const auto& [name, tensor] : adapter->ip_adapter_parameters()) {
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
    ASSERT_EQ(tensor.grad().scalar_type(), at::kFloat) << name;
    EXPECT_TRUE(tensor.grad().isfinite().all().item<bool>()) << name;
  }
}

TEST_F(IpAdapterTest, OtherKindsAreRefusedByTheirNames) {
  const TensorMap base = read_safetensors(kBaseFile).tensors;
  const at::Tensor any = at::ones({2, 2});
  EXPECT_THAT(error_of({{"unet.lora_A.weight", any}}), HasSubstr("no IP-Adapter"));
  EXPECT_THAT(error_of({{"image_proj.proj.0.weight", any}, {"image_proj.norm.weight", any}}),
              HasSubstr("FaceID"));
  EXPECT_THAT(error_of({{"image_proj.perceiver_resampler.proj_in.weight", any}}),
              HasSubstr("FaceID Plus"));
  EXPECT_THAT(error_of({{"image_proj.proj.3.weight", any}}), HasSubstr("full-face"));
  EXPECT_THAT(error_of({{"image_proj.pos_emb.weight", any}}), HasSubstr("pos_emb"));
  TensorMap with_lora = base;
  with_lora["ip_adapter.0.to_q_lora.down.weight"] = any;
  EXPECT_THAT(error_of(with_lora), AllOf(HasSubstr("FaceID"), HasSubstr("LoRA")));
  TensorMap sdxl = base;
  sdxl["ip_adapter.1.to_k_ip.weight"] = at::zeros({4, 2048});
  EXPECT_THAT(error_of(sdxl), HasSubstr("SDXL"));
  EXPECT_THAT(error_of({{"image_proj.projection", any}}), HasSubstr("unknown kind"));
}

TEST_F(IpAdapterTest, ShapesThatContradictEachOtherAreNamed) {
  const TensorMap plus = read_safetensors(kPlusFile).tensors;
  const auto with = [&](const std::string& name, const at::Tensor& tensor) {
    TensorMap changed = plus;
    changed[name] = tensor;
    return changed;
  };
  EXPECT_THAT(error_of(with("image_proj.latents", at::ones({5, 14}))),
              AllOf(HasSubstr("image_proj.latents"), HasSubstr("[1, queries, dim]")));
  EXPECT_THAT(error_of(with("image_proj.layers.0.0.to_q.weight", at::ones({63, 14}))),
              AllOf(HasSubstr("63 rows"), HasSubstr(kIpHeadDimKey)));
  EXPECT_THAT(error_of(plus, {{kIpHeadDimKey, "0"}}), HasSubstr("64 rows"));
  EXPECT_THAT(error_of(plus, {{kIpHeadDimKey, "many"}}), HasSubstr("'many'"));
  EXPECT_THAT(error_of(with("image_proj.layers.0.1.1.weight", at::ones({15, 14}))),
              HasSubstr("15 rows"));
  EXPECT_THAT(error_of(with("image_proj.proj_in.weight", at::ones({3, 11}))), HasSubstr("[3, 11]"));
  TensorMap missing = plus;
  missing.erase("image_proj.layers.2.0.norm1.bias");
  write_safetensors(folder.path() / "missing.safetensors", missing);
  EXPECT_THAT(
      message_of<InputError>([&] { load_adapter(unet, folder.path() / "missing.safetensors"); }),
      HasSubstr("missing tensor image_proj.layers.2.0.norm1.bias [14]"));
  write_safetensors(folder.path() / "surplus.safetensors",
                    with("ip_adapter.13.to_k_ip.weight", at::ones({18, 15})));
  EXPECT_THAT(
      message_of<InputError>([&] { load_adapter(unet, folder.path() / "surplus.safetensors"); }),
      HasSubstr("surplus tensor ip_adapter.13.to_k_ip.weight"));
}

}  // namespace
}  // namespace limewash::models
