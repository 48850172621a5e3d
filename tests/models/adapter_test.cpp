// LoRA and IP-Adapter against peft and diffusers.

#include "models/adapter.h"

#include <gmock/gmock.h>
#include <torch/torch.h>

#include "models/adapter_files.h"
#include "runtime/error.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kEmbedding = 10;

class AdapterTest : public ::testing::Test {
 protected:
  at::Tensor run(const at::Tensor& ip_hidden_states = {}) {
    return unet->forward(
        in.at("sample"), in.at("timestep"), in.at("encoder_hidden_states"), ip_hidden_states);
  }
  static AdapterOptions options(int64_t rank, const std::string& kind) {
    AdapterOptions result;
    result.lora.rank = rank;
    result.ip_adapter.kind = kind;
    return result;
  }

  UNet2DConditionModel unet = load_unet(golden_path("base/unet"));
  TensorMap in = golden("base/unet_inputs");
  at::Tensor base_output = golden("base/unet_outputs").at("sample");
};

TEST_F(AdapterTest, OutputAndEveryGradientAgreeWithPeftAndDiffusers) {
  const auto expected = golden("base/adapter_outputs");
  const auto adapter = load_adapter(unet, golden_path("base/adapter"));
  EXPECT_EQ(adapter->options().lora.rank, 3);
  EXPECT_DOUBLE_EQ(adapter->options().lora.alpha, 5);
  EXPECT_DOUBLE_EQ(adapter->options().ip_adapter.scale, 0.7);

  const at::Tensor tokens = adapter->project_reference(expected.at("image_embeds"));
  expect_close(tokens, expected.at("ip_hidden_states"));
  const at::Tensor output = run(tokens);
  expect_close(output, expected.at("sample"));

  (output * expected.at("probe")).sum().backward();
  size_t compared = 0;
  for (const auto& list : {adapter->lora_parameters(), adapter->ip_adapter_parameters()}) {
    for (const auto& [name, tensor] : list) {
      ASSERT_TRUE(expected.contains("gradient." + name)) << name;
      ASSERT_TRUE(tensor.grad().defined()) << name;
      const at::Tensor& wanted = expected.at("gradient." + name);
      ASSERT_EQ(tensor.grad().sizes(), wanted.sizes()) << name;
      const double size = wanted.norm().item<double>();
      ASSERT_GT(size, 0) << name;
      EXPECT_LE((tensor.grad() - wanted).norm().item<double>() / size, 1e-4) << name;
      ++compared;
    }
  }
  size_t gradients = 0;
  for (const auto& [name, tensor] : expected) gradients += name.starts_with("gradient.");
  EXPECT_EQ(compared, gradients);
  for (const auto& parameter : unet->parameters()) EXPECT_FALSE(parameter.grad().defined());
}

TEST_F(AdapterTest, SwitchedOffLeavesTheBaseAlone) {
  torch::NoGradGuard no_grad;
  const auto expected = golden("base/adapter_outputs");
  const auto adapter = load_adapter(unet, golden_path("base/adapter"));
  const at::Tensor tokens = adapter->project_reference(expected.at("image_embeds"));
  adapter->set_enabled(false);
  expect_close(run(tokens), base_output);
  adapter->set_enabled(true);
  expect_close(run(tokens), expected.at("sample"));
}

TEST_F(AdapterTest, IsTakenOutOfTheUNetWithItsObject) {
  torch::NoGradGuard no_grad;
  const at::Tensor before = run();
  { const auto adapter = load_adapter(unet, golden_path("base/adapter")); }
  EXPECT_TRUE(at::equal(run(), before));
}

TEST_F(AdapterTest, NewLoraChangesNothingAndStartsAsPeftDoes) {
  torch::NoGradGuard no_grad;
  const at::Tensor before = run();
  Adapter adapter(unet, options(4, "none"), 0, 1);
  EXPECT_TRUE(at::equal(run(), before));
  EXPECT_FALSE(adapter.project_reference(at::zeros({1, kEmbedding})).defined());
  EXPECT_TRUE(adapter.ip_adapter_parameters().empty());
  ASSERT_EQ(adapter.lora_parameters().size(), 12u * 4 * 2);  // attentions, layers, A and B
  for (const auto& [name, tensor] : adapter.lora_parameters()) {
    if (name.ends_with(".lora_B.weight")) {
      EXPECT_TRUE(tensor.eq(0).all().item<bool>()) << name;
    } else {
      const double bound = 1 / std::sqrt(static_cast<double>(tensor.size(1)));
      EXPECT_LE(tensor.abs().max().item<double>(), bound) << name;
      EXPECT_NEAR(tensor.std().item<double>(), bound / std::sqrt(3.0), 0.3 * bound) << name;
    }
  }
}

TEST_F(AdapterTest, StartValuesFollowSeedAndNameOnly) {
  UNet2DConditionModel other = load_unet(golden_path("base/unet"));
  AdapterOptions fewer = options(4, "base");
  fewer.lora.targets = {"attn2.to_q"};
  Adapter first(unet, options(4, "base"), kEmbedding, 7), second(other, fewer, kEmbedding, 7);
  std::map<std::string, at::Tensor> by_name;
  for (const auto& [name, tensor] : first.lora_parameters()) by_name[name] = tensor;
  ASSERT_EQ(second.lora_parameters().size(), 6u * 2);
  for (const auto& [name, tensor] : second.lora_parameters()) {
    EXPECT_TRUE(at::equal(tensor, by_name.at(name))) << name;
  }
  EXPECT_TRUE(
      at::equal(first.ip_adapter_parameters()[3].tensor, second.ip_adapter_parameters()[3].tensor));

  UNet2DConditionModel third_unet = load_unet(golden_path("base/unet"));
  Adapter third(third_unet, options(4, "base"), kEmbedding, 8);
  EXPECT_FALSE(at::equal(first.lora_parameters()[0].tensor, third.lora_parameters()[0].tensor));
}

TEST_F(AdapterTest, IpAdapterStartsFromTheTextKeysAndValues) {
  Adapter adapter(unet, options(0, "base"), kEmbedding, 1);
  EXPECT_TRUE(adapter.lora_parameters().empty());
  const auto attentions = unet->attentions();
  size_t copies = 0;
  for (const auto& [name, tensor] : adapter.ip_adapter_parameters()) {
    for (size_t place = 1; place < attentions.size(); place += 2) {
      if (name == ip_key_name(place)) {
        EXPECT_TRUE(at::equal(tensor, attentions[place].second->to_k->weight)) << name;
        ++copies;
      }
      if (name == ip_value_name(place)) {
        EXPECT_TRUE(at::equal(tensor, attentions[place].second->to_v->weight)) << name;
        ++copies;
      }
    }
  }
  EXPECT_EQ(copies, 12u);
  EXPECT_EQ(adapter.project_reference(at::zeros({2, kEmbedding})).sizes(),
            at::IntArrayRef({2, 4, 15}));
}

TEST_F(AdapterTest, ReadsItsWeightsThroughReplacedStorage) {
  const auto expected = golden("base/adapter_outputs");
  const auto adapter = load_adapter(unet, golden_path("base/adapter"));
  auto parameters = adapter->lora_parameters();
  for (auto& parameter : adapter->ip_adapter_parameters()) parameters.push_back(parameter);
  int64_t size = 0;
  for (const auto& parameter : parameters) size += parameter.tensor.numel();
  at::Tensor flat = at::empty({size});
  int64_t offset = 0;
  for (auto& parameter : parameters) {
    const int64_t count = parameter.tensor.numel();
    at::Tensor view = flat.slice(0, offset, offset + count).view(parameter.tensor.sizes());
    view.copy_(parameter.tensor.detach());
    parameter.tensor.set_data(view);
    offset += count;
  }
  torch::NoGradGuard no_grad;
  expect_close(run(adapter->project_reference(expected.at("image_embeds"))), expected.at("sample"));
  flat.zero_();
  const at::Tensor zeroed = run(adapter->project_reference(expected.at("image_embeds")));
  expect_close(zeroed, base_output);
}

TEST_F(AdapterTest, SavedAndLoadedIsTheSameBitForBit) {
  TemporaryFolder folder;
  const auto adapter = load_adapter(unet, golden_path("base/adapter"));
  adapter->save(folder.path(), {{"hole", "shading"}});
  EXPECT_EQ(read_safetensors(folder.path() / kLoraFileName).metadata.at("hole"), "shading");
  EXPECT_EQ(read_safetensors(folder.path() / kIpAdapterFileName).metadata.at("hole"), "shading");

  UNet2DConditionModel other = load_unet(golden_path("base/unet"));
  const auto back = load_adapter(other, folder.path());
  EXPECT_DOUBLE_EQ(back->options().lora.alpha, 5);
  const auto ours = adapter->lora_parameters(), theirs = back->lora_parameters();
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i].name, theirs[i].name);
    EXPECT_TRUE(at::equal(ours[i].tensor, theirs[i].tensor)) << ours[i].name;
  }
  for (const auto& file : {kLoraFileName, kIpAdapterFileName}) {
    const auto reference = read_safetensors(golden_path("base/adapter") / file).tensors;
    const auto written = read_safetensors(folder.path() / file).tensors;
    ASSERT_EQ(reference.size(), written.size());
    for (const auto& [name, tensor] : reference)
      EXPECT_TRUE(at::equal(tensor, written.at(name))) << name;
  }
}

TEST_F(AdapterTest, LoadNamesFileKeyAndShapesThatDoNotFit) {
  TemporaryFolder folder;
  auto tensors = read_safetensors(golden_path("base/adapter") / kLoraFileName).tensors;
  const std::string name = tensors.begin()->first;
  Adapter adapter(unet, inspect_adapter(golden_path("base/adapter")).options, kEmbedding, 1);
  const auto attempt = [&] {
    write_safetensors(folder.path() / kLoraFileName, tensors);
    return message_of<InputError>([&] { adapter.load(folder.path()); });
  };
  const at::Tensor kept = tensors.at(name);
  tensors[name] = at::zeros({2, 2});
  EXPECT_THAT(attempt(), AllOf(HasSubstr(kLoraFileName), HasSubstr(name), HasSubstr("[2, 2]")));
  tensors.erase(name);
  EXPECT_THAT(attempt(), AllOf(HasSubstr("missing"), HasSubstr(name)));
  tensors[name] = kept;
  tensors["unet.nowhere.lora_A.weight"] = tensors["unet.nowhere.lora_B.weight"] = at::zeros({3, 3});
  EXPECT_THAT(attempt(), HasSubstr("surplus tensor unet.nowhere.lora_A.weight"));
}

TEST_F(AdapterTest, RefusesTargetsThatNameNoLayer) {
  AdapterOptions wrong = options(4, "none");
  wrong.lora.targets = {"to_q", "o_q"};  // the end of a name, but not at a dot
  EXPECT_THAT(message_of<ConfigError>([&] { Adapter adapter(unet, wrong, 0, 1); }),
              HasSubstr("'o_q'"));
  wrong.lora.targets = {"norm1"};
  EXPECT_THAT(message_of<ConfigError>([&] { Adapter adapter(unet, wrong, 0, 1); }),
              HasSubstr("'norm1'"));
  EXPECT_THAT(message_of<ConfigError>([&] { options(0, "none").validate(); }),
              HasSubstr("nothing to train"));
}

TEST_F(AdapterTest, AnAdapterOfAnotherNetworkIsRefusedByName) {
  UNet2DConditionModel other = load_unet(golden_path("variants/unet"));
  EXPECT_THAT(message_of<InputError>([&] { load_adapter(other, golden_path("base/adapter")); }),
              HasSubstr("does not fit this UNet"));
}

}  // namespace
}  // namespace limewash::models
