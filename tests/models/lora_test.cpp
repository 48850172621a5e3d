// LoRA on layers and in a UNet: where it goes, what it computes, dropout, merging.

#include "models/lora.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <torch/torch.h>

#include "models/adapter_files.h"
#include "models/conv2d.h"
#include "models/lora_linear.h"
#include "runtime/error.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::HasSubstr;

at::Tensor drawn(at::IntArrayRef shape, uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(shape, generator);
}

LoraBranch branch(at::Tensor a, at::Tensor b, double scale) {
  return {std::move(a), std::move(b), scale, nullptr, 0};
}

TEST(LoraLayer, OfALinearLayerAddsBAxBitForBit) {
  torch::NoGradGuard no_grad;
  LoraLinear layer(5, 7);
  layer->weight.copy_(drawn({7, 5}, 1));
  layer->bias.copy_(drawn({7}, 2));
  const auto x = drawn({2, 3, 5}, 3), a = drawn({4, 5}, 4), b = drawn({7, 4}, 5);
  layer->install_lora(branch(a, b, 0.75));
  const auto wanted =
      at::linear(x, layer->weight, layer->bias) + at::linear(at::linear(x, a) * 0.75, b);
  EXPECT_TRUE(at::equal(layer->forward(x), wanted));
}

TEST(LoraLayer, OfAConvolutionHasItsKernelStrideAndPadding) {
  torch::NoGradGuard no_grad;
  struct Case {
    int64_t kernel, stride, padding;
  };
  for (const auto& [kernel, stride, padding] :
       {Case{3, 1, 1}, Case{3, 2, 1}, Case{3, 2, 0}, Case{1, 1, 0}}) {
    Conv2d layer(Conv2dOptions{.in_channels = 3,
                               .out_channels = 5,
                               .kernel = kernel,
                               .stride = stride,
                               .padding = padding});
    layer->weight.copy_(drawn({5, 3, kernel, kernel}, 1));
    layer->bias.copy_(drawn({5}, 2));
    const auto x = drawn({2, 3, 9, 8}, 3);
    const auto a = drawn({2, 3, kernel, kernel}, 4), b = drawn({5, 2, 1, 1}, 5);
    // B A as one kernel: the sum over the rank.
    const auto product = at::einsum("or,rikl->oikl", {b.flatten(1), a});
    const auto wanted = at::conv2d(x, layer->weight + 0.5 * product, layer->bias, stride, padding);
    layer->install_lora(branch(a, b, 0.5));
    expect_close(layer->forward(x), wanted);
    layer->remove_lora();
    EXPECT_TRUE(
        at::equal(layer->forward(x), at::conv2d(x, layer->weight, layer->bias, stride, padding)));
  }
}

TEST(LoraLayer, ComputesInTheTypeOfTheInputAndTrainsInFp32) {
  LoraLinear linear(4, 6);
  Conv2d convolution(Conv2dOptions{.in_channels = 4, .out_channels = 6, .padding = 1});
  {
    torch::NoGradGuard no_grad;
    for (auto& parameter : linear->parameters()) parameter.fill_(0.1);
    for (auto& parameter : convolution->parameters()) parameter.fill_(0.1);
  }
  linear->to(at::kBFloat16);
  convolution->to(at::kBFloat16);
  auto linear_a = drawn({2, 4}, 1).requires_grad_(), linear_b = drawn({6, 2}, 2).requires_grad_();
  auto conv_a = drawn({2, 4, 3, 3}, 3).requires_grad_(),
       conv_b = drawn({6, 2, 1, 1}, 4).requires_grad_();
  linear->install_lora(branch(linear_a, linear_b, 1));
  convolution->install_lora(branch(conv_a, conv_b, 1));
  const auto y = linear->forward(drawn({3, 4}, 5).to(at::kBFloat16));
  const auto z = convolution->forward(drawn({1, 4, 5, 5}, 6).to(at::kBFloat16));
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_EQ(z.scalar_type(), at::kBFloat16);
  (y.sum() + z.sum()).backward();
  for (const auto& tensor : {linear_a, linear_b, conv_a, conv_b}) {
    ASSERT_TRUE(tensor.grad().defined());
    EXPECT_EQ(tensor.grad().scalar_type(), at::kFloat);
    EXPECT_GT(tensor.grad().abs().sum().item<float>(), 0);
  }
}

TEST(LoraLayer, RefusesTensorsThatDoNotFit) {
  LoraLinear layer(5, 7);
  EXPECT_THROW(layer->install_lora(branch(at::zeros({2, 4}), at::zeros({7, 2}), 1)), c10::Error);
  EXPECT_THROW(layer->install_lora(branch(at::zeros({2, 5}), at::zeros({7, 3}), 1)), c10::Error);
  EXPECT_THROW(layer->install_lora(branch(at::zeros({2, 5, 1, 1}), at::zeros({7, 2, 1, 1}), 1)),
               c10::Error);
}

class LoraTest : public ::testing::Test {
 protected:
  at::Tensor run() {
    return unet->forward(in.at("sample"), in.at("timestep"), in.at("encoder_hidden_states"));
  }
  /// Weights that all matter: B starts at zero.
  static void randomize(const Lora& lora) {
    torch::NoGradGuard no_grad;
    uint64_t seed = 100;
    for (auto parameter : lora.parameters())
      parameter.tensor.copy_(0.2 * drawn(parameter.tensor.sizes(), ++seed));
  }
  static LoraOptions options(std::vector<std::string> targets) {
    LoraOptions result;
    result.rank = 3;
    result.alpha = 4;
    result.targets = std::move(targets);
    return result;
  }
  int64_t batch() const {
    return in.at("sample").size(0);
  }

  UNet2DConditionModel unet = load_unet(golden_path("base/unet"));
  TensorMap in = golden("base/unet_inputs");
};

const std::vector<std::string> kEveryKind = {"to_q",
                                             "to_out.0",
                                             "ff.net.0.proj",
                                             "proj_in",
                                             "conv1",
                                             "conv2",
                                             "conv_shortcut",
                                             "downsamplers.0.conv",
                                             "upsamplers.0.conv",
                                             "conv_in",
                                             "conv_out",
                                             "time_emb_proj",
                                             "linear_1"};

TEST_F(LoraTest, GoesOnEveryKindOfLayer) {
  torch::NoGradGuard no_grad;
  const at::Tensor before = run();
  const Lora lora(unet, options(kEveryKind), 1);
  EXPECT_TRUE(at::equal(run(), before));  // B is zero
  std::map<std::string, at::Tensor> by_name;
  for (const auto& [name, tensor] : lora.parameters()) by_name[name] = tensor;
  EXPECT_EQ(by_name.at("unet.conv_in.lora_A.weight").sizes(), at::IntArrayRef({3, 9, 3, 3}));
  EXPECT_EQ(by_name.at("unet.conv_in.lora_B.weight").sizes(), at::IntArrayRef({12, 3, 1, 1}));
  EXPECT_EQ(by_name.at("unet.down_blocks.0.downsamplers.0.conv.lora_A.weight").sizes(),
            at::IntArrayRef({3, 12, 3, 3}));
  EXPECT_EQ(by_name.at("unet.down_blocks.1.resnets.0.conv_shortcut.lora_A.weight").sizes(),
            at::IntArrayRef({3, 12, 1, 1}));
  // Kaiming of a convolution counts its kernel.
  EXPECT_LE(by_name.at("unet.conv_in.lora_A.weight").abs().max().item<double>(),
            1 / std::sqrt(81.0));
  // With B at zero its gradient is A x: nothing where the layer does not use its LoRA.
  torch::AutoGradMode with_gradients(true);
  run().square().sum().backward();
  for (const auto& [name, tensor] : lora.parameters()) {
    if (!name.ends_with("lora_B.weight")) continue;
    ASSERT_TRUE(tensor.grad().defined()) << name;
    EXPECT_GT(tensor.grad().abs().max().item<float>(), 0) << name;
  }
}

TEST_F(LoraTest, MergedGivesTheSameAndUnmergedTheOriginalBits) {
  torch::NoGradGuard no_grad;
  const at::Tensor base = run();
  std::map<std::string, at::Tensor> weights;
  for (const auto& item : unet->named_parameters()) weights[item.key()] = item.value().clone();
  Lora lora(unet, options(kEveryKind), 1);
  randomize(lora);
  const at::Tensor unmerged = run();
  ASSERT_GT(largest_difference(unmerged, base), 0.01);

  lora.merge();
  expect_close(run(), unmerged);
  EXPECT_FALSE(at::equal(unet->named_parameters()["conv_in.weight"], weights.at("conv_in.weight")));
  lora.set_enabled(false);
  EXPECT_TRUE(at::equal(run(), base));
  lora.set_enabled(true);
  expect_close(run(), unmerged);
  lora.merge();  // a second time changes nothing
  expect_close(run(), unmerged);

  lora.unmerge();
  for (const auto& item : unet->named_parameters()) {
    EXPECT_TRUE(at::equal(item.value(), weights.at(item.key()))) << item.key();
  }
  EXPECT_TRUE(at::equal(run(), unmerged));
}

TEST_F(LoraTest, TakenOutWhileMergedLeavesTheBase) {
  torch::NoGradGuard no_grad;
  const at::Tensor base = run();
  {
    Lora lora(unet, options({"to_q", "conv1"}), 1);
    randomize(lora);
    lora.merge();
    ASSERT_FALSE(at::equal(run(), base));
  }
  EXPECT_TRUE(at::equal(run(), base));
}

TEST_F(LoraTest, RankStabilisedScaleIsAlphaOverTheRootOfTheRank) {
  torch::NoGradGuard no_grad;
  const at::Tensor base = run();
  LoraOptions plain = options({"conv_out"}), stabilised = plain;
  stabilised.use_rslora = true;
  at::Tensor change, stabilised_change;
  {
    Lora lora(unet, plain, 1);
    randomize(lora);
    change = run() - base;
  }
  {
    Lora lora(unet, stabilised, 1);
    randomize(lora);
    stabilised_change = run() - base;
  }
  // The last layer is linear in the scale: alpha / sqrt(3) is sqrt(3) times alpha / 3.
  expect_close(stabilised_change, change * std::sqrt(3.0), 1e-4);
}

TEST_F(LoraTest, TheFirstPatternThatMatchesGivesRankAndAlpha) {
  LoraOptions wanted = options({"to_[qk]", "^conv_in", "conv1"});
  wanted.exclude_modules = {"mid_block.*"};
  wanted.rank_pattern = {{"attn2.to_q", 5}, {"to_q", 2}, {"down_blocks.*conv1", 1}};
  wanted.alpha_pattern = {{"conv_in", 9}};
  const Lora lora(unet, wanted, 1);
  const LoraWeights weights = lora.weights();
  const auto rank = [&](const char* path) { return weights.modules.at(path).rank(); };
  EXPECT_EQ(rank("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q"), 5);
  EXPECT_EQ(rank("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"), 2);
  EXPECT_EQ(rank("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k"), 3);
  EXPECT_EQ(rank("down_blocks.1.resnets.0.conv1"), 1);
  EXPECT_EQ(rank("up_blocks.0.resnets.0.conv1"), 3);
  EXPECT_DOUBLE_EQ(weights.modules.at("conv_in").alpha, 9);
  EXPECT_DOUBLE_EQ(weights.modules.at("up_blocks.0.resnets.0.conv1").alpha, 4);
  for (const auto& [path, module] : weights.modules) {
    EXPECT_FALSE(path.starts_with("mid_block")) << path;
    EXPECT_FALSE(path.ends_with("to_v")) << path;
  }
}

TEST_F(LoraTest, RefusesPatternsThatAreOfNoUse) {
  const auto refused = [&](const LoraOptions& wrong) {
    return message_of<ConfigError>([&] { Lora lora(unet, wrong, 1); });
  };
  EXPECT_THAT(refused(options({"to_q", "o_q"})), AllOf(HasSubstr("targets"), HasSubstr("'o_q'")));
  EXPECT_THAT(refused(options({"norm1"})), HasSubstr("'norm1'"));  // a layer that takes no LoRA
  EXPECT_THAT(refused(options({"to_(q"})), HasSubstr("no regular expression"));
  EXPECT_THAT(refused(options({"a{9}"})), HasSubstr("repetition counts"));
  EXPECT_THAT(refused(options({"(a)\\1"})), HasSubstr("targets"));
  LoraOptions wrong = options({"to_q"});
  wrong.exclude_modules = {"to_v"};
  EXPECT_THAT(refused(wrong), AllOf(HasSubstr("exclude_modules"), HasSubstr("'to_v'")));
  wrong.exclude_modules = {"to_q"};
  EXPECT_THAT(refused(wrong), HasSubstr("leaves no layer"));
  wrong.exclude_modules = {};
  wrong.rank_pattern = {{"conv1", 4}};
  EXPECT_THAT(refused(wrong), AllOf(HasSubstr("rank_pattern"), HasSubstr("'conv1'")));
  wrong.rank_pattern = {{"to_q", 0}};
  EXPECT_THAT(refused(wrong), HasSubstr("rank_pattern.to_q is 0"));
  wrong.rank_pattern = {};
  wrong.alpha_pattern = {{"to_q", NAN}};
  EXPECT_THAT(refused(wrong), HasSubstr("alpha_pattern.to_q"));
  wrong.alpha_pattern = {};
  wrong.dropout = 1;
  EXPECT_THAT(refused(wrong), HasSubstr("dropout is 1"));
}

TEST(LoraOptions, ReadTheirPatternsFromYaml) {
  LoraOptions options;
  config::Document::parse(
      "rank: 8\ndropout: 0.1\ntargets: [to_q, 'conv[12]']\nexclude_modules: mid_block.*\n"
      "rank_pattern: {attn2.to_q: 4, 'conv.*': 2}\nalpha_pattern: {to_q: 0.5}\nuse_rslora: true\n",
      "x.yaml",
      {})
      .read_into(options);
  EXPECT_DOUBLE_EQ(options.dropout, 0.1);
  EXPECT_THAT(options.exclude_modules, ::testing::ElementsAre("mid_block.*"));
  EXPECT_THAT(
      options.rank_pattern,
      ::testing::ElementsAre(::testing::Pair("attn2.to_q", 4), ::testing::Pair("conv.*", 2)));
  EXPECT_THAT(options.alpha_pattern, ::testing::ElementsAre(::testing::Pair("to_q", 0.5)));
  EXPECT_TRUE(options.use_rslora);
  EXPECT_THAT(
      message_of<ConfigError>([&] {
        config::Document::parse("rank_pattern: {to_q: many}\n", "x.yaml", {}).read_into(options);
      }),
      AllOf(HasSubstr("rank_pattern.to_q"), HasSubstr("x.yaml:1")));
}

// Dropout.

TEST(LoraDropout, LetsInputsPassUntilItBeginsAndAfterItsEnd) {
  LoraDropout dropout(0.5);
  const auto x = drawn({2, 8}, 1);
  EXPECT_TRUE(at::equal(dropout.apply(x, 7), x));
  dropout.begin(1, {{0, 1}, {0, 2}});
  EXPECT_FALSE(at::equal(dropout.apply(x, 7), x));
  dropout.end();
  EXPECT_TRUE(at::equal(dropout.apply(x, 7), x));
}

TEST(LoraDropout, DropsItsShareAndKeepsTheMean) {
  for (const double probability : {0.1, 0.5, 0.9}) {
    LoraDropout dropout(probability);
    dropout.begin(3, {{0, 11}, {0, 12}});
    const auto y = dropout.apply(at::ones({2, 100, 500}), 5);
    for (int64_t row = 0; row < 2; ++row) {
      const double dropped = y[row].eq(0).to(at::kDouble).mean().item<double>();
      // Five standard deviations of 50,000 draws.
      EXPECT_NEAR(dropped, probability, 5 * std::sqrt(probability * (1 - probability) / 50000));
      const auto kept = y[row].masked_select(y[row].ne(0));
      EXPECT_NEAR(kept.min().item<double>(), 1 / (1 - probability), 1e-5);
      EXPECT_NEAR(kept.max().item<double>(), 1 / (1 - probability), 1e-5);
    }
    EXPECT_FALSE(at::equal(y[0], y[1]));
  }
}

TEST(LoraDropout, MaskOfASampleIsItsOwnWhereverItStands) {
  LoraDropout dropout(0.5);
  const auto masks = [&](std::vector<DropoutKey> keys, uint64_t seed, uint64_t layer) {
    const auto rows = static_cast<int64_t>(keys.size());
    dropout.begin(seed, std::move(keys));
    return dropout.apply(at::ones({rows, 3, 40}), layer);
  };
  const auto three = masks({{0, 1}, {0, 2}, {1, 3}}, 9, 5);
  const auto two = masks({{1, 3}, {0, 1}}, 9, 5);
  EXPECT_TRUE(at::equal(three[0], two[1]));
  EXPECT_TRUE(at::equal(three[2], two[0]));
  EXPECT_TRUE(at::equal(three[1], masks({{0, 2}}, 9, 5)[0]));
  EXPECT_FALSE(at::equal(three[0], three[1]));                  // another sample
  EXPECT_FALSE(at::equal(three[0], masks({{1, 1}}, 9, 5)[0]));  // another epoch
  EXPECT_FALSE(at::equal(three[0], masks({{0, 1}}, 8, 5)[0]));  // another seed
  EXPECT_FALSE(at::equal(three[0], masks({{0, 1}}, 9, 6)[0]));  // another layer
}

TEST(LoraDropout, RefusesABatchThatHasNoKeys) {
  LoraDropout dropout(0.5);
  dropout.begin(1, {{0, 1}});
  EXPECT_THROW(dropout.apply(at::ones({2, 3}), 0), c10::Error);
  EXPECT_THROW(LoraDropout(1.0), c10::Error);
}

/// Gradients of all tensors, flattened, of one forward and backward pass.
at::Tensor gradients_of(const Lora& lora, const at::Tensor& output, const at::Tensor& probe) {
  std::vector<at::Tensor> tensors, flat;
  for (const auto& parameter : lora.parameters()) tensors.push_back(parameter.tensor);
  for (const auto& gradient : torch::autograd::grad({(output * probe).sum()}, tensors)) {
    flat.push_back(gradient.flatten());
  }
  return at::cat(flat);
}

TEST_F(LoraTest, DropoutIsOffOutsideOfTraining) {
  torch::NoGradGuard no_grad;
  LoraOptions with = options({"to_q", "conv1"});
  with.dropout = 0.5;
  Lora lora(unet, with, 1);
  randomize(lora);
  const at::Tensor plain = run();
  std::vector<DropoutKey> keys(static_cast<size_t>(batch()));
  for (size_t i = 0; i < keys.size(); ++i) keys[i].sample = i;
  lora.begin_dropout(5, keys);
  const at::Tensor dropped = run();
  EXPECT_FALSE(at::equal(dropped, plain));
  EXPECT_TRUE(at::equal(run(), dropped));
  lora.end_dropout();
  EXPECT_TRUE(at::equal(run(), plain));
}

TEST_F(LoraTest, DropoutIsTheSameWhenCheckpointedBlocksAreComputedAgain) {
  LoraOptions with = options({"to_q", "to_out.0", "ff.net.2", "conv1", "conv2", "proj_out"});
  with.dropout = 0.3;
  Lora lora(unet, with, 1);
  randomize(lora);
  std::vector<DropoutKey> keys(static_cast<size_t>(batch()));
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = {2, 40 + i};
  const at::Tensor probe = drawn(golden("base/unet_outputs").at("sample").sizes(), 3);
  lora.begin_dropout(5, keys);
  const at::Tensor straight = gradients_of(lora, run(), probe);
  unet->set_gradient_checkpointing(true);
  const at::Tensor again = gradients_of(lora, run(), probe);
  EXPECT_TRUE(at::equal(straight, again));
  lora.end_dropout();
  EXPECT_FALSE(at::equal(gradients_of(lora, run(), probe), again));
}

TEST_F(LoraTest, MicroBatchesWithDropoutSumToTheWholeBatch) {
  LoraOptions with = options({"to_q", "to_out.0", "conv1"});
  with.dropout = 0.4;
  Lora lora(unet, with, 1);
  randomize(lora);
  const int64_t size = batch();
  ASSERT_GT(size, 1);
  std::vector<DropoutKey> keys(static_cast<size_t>(size));
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = {0, 1000 + 7 * i};
  const at::Tensor probe = drawn(golden("base/unet_outputs").at("sample").sizes(), 3);
  lora.begin_dropout(5, keys);
  const at::Tensor whole = gradients_of(lora, run(), probe);
  at::Tensor sum = at::zeros_like(whole);
  for (int64_t row = size - 1; row >= 0; --row) {
    lora.begin_dropout(5, {keys[static_cast<size_t>(row)]});
    const at::Tensor output = unet->forward(in.at("sample").narrow(0, row, 1),
                                            in.at("timestep").narrow(0, row, 1),
                                            in.at("encoder_hidden_states").narrow(0, row, 1));
    sum += gradients_of(lora, output, probe.narrow(0, row, 1));
  }
  EXPECT_LE((whole - sum).norm().item<double>() / whole.norm().item<double>(), 1e-5);
}

}  // namespace
}  // namespace limewash::models
