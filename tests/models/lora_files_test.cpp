// LoRA files: the layouts, what is refused, what is written.

#include <cstring>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/adapter.h"
#include "models/adapter_files.h"
#include "models/lora_formats.h"
#include "models/lora_keys.h"
#include "models/lora_metadata.h"
#include "models/module_pattern.h"
#include "runtime/error.h"
#include "tests/models/golden.h"

namespace limewash::models {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kQuery = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
constexpr const char* kOut = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_out.0";
constexpr const char* kConvolution = "up_blocks.1.resnets.0.conv_shortcut";
const std::vector<std::string> kPaths = {kQuery, kOut, kConvolution, "conv_in"};

at::Tensor ramp(at::IntArrayRef shape, double start) {
  const int64_t count = c10::multiply_integers(shape);
  return (at::arange(count, at::kFloat) * 0.01 + start).view(shape);
}

/// Two ranks, two alphas, linear layers and convolutions.
LoraWeights example() {
  LoraWeights weights;
  weights.modules[kQuery] = {ramp({2, 5}, 1), ramp({6, 2}, 2), 3};
  weights.modules[kOut] = {ramp({2, 6}, 3), ramp({5, 2}, 4), 3};
  weights.modules[kConvolution] = {ramp({4, 3, 1, 1}, 5), ramp({7, 4, 1, 1}, 6), 3};
  weights.modules["conv_in"] = {ramp({2, 3, 3, 3}, 7), ramp({8, 2, 1, 1}, 8), 0.5};
  weights.metadata = {{"limewash.hole", "shading"}};
  return weights;
}

void expect_same(const LoraWeights& ours, const LoraWeights& wanted) {
  ASSERT_EQ(ours.modules.size(), wanted.modules.size());
  for (const auto& [path, module] : wanted.modules) {
    ASSERT_TRUE(ours.modules.contains(path)) << path;
    const LoraModule& found = ours.modules.at(path);
    EXPECT_TRUE(at::equal(found.a.to(at::kFloat), module.a.to(at::kFloat))) << path;
    EXPECT_TRUE(at::equal(found.b.to(at::kFloat), module.b.to(at::kFloat))) << path;
    EXPECT_DOUBLE_EQ(ours.scale_of(found), wanted.scale_of(module)) << path;
  }
}

class LoraFileTest : public ::testing::Test {
 protected:
  std::filesystem::path file(const char* name = "some.safetensors") const {
    return folder.path() / name;
  }
  /// The message that reading a file of these tensors gives.
  std::string refused(const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata = {}) {
    write_safetensors(file(), tensors, metadata);
    const std::string message = message_of<InputError>([&] { read_lora(file(), kPaths); });
    EXPECT_THAT(message, HasSubstr("some.safetensors"));
    return message;
  }
  static TensorMap pair() {
    return {{lora_a_name(kQuery), ramp({2, 5}, 1)}, {lora_b_name(kQuery), ramp({6, 2}, 2)}};
  }
  std::string refused_metadata(const std::string& json) {
    return refused(pair(), {{kLoraMetadataKey, json}});
  }

  TemporaryFolder folder;
};

TEST_F(LoraFileTest, WrittenInEitherLayoutComesBackTheSame) {
  for (const auto layout : {LoraLayout::kPeft, LoraLayout::kKohya}) {
    for (const bool fold : {false, true}) {
      for (const bool stabilised : {false, true}) {
        LoraWeights weights = example();
        weights.use_rslora = stabilised;
        write_lora(file(), weights, {.layout = layout, .fold_alpha = fold});
        const LoraWeights back = read_lora(file(), kPaths);
        EXPECT_EQ(back.metadata.at("limewash.hole"), "shading");
        for (const auto& [path, module] : weights.modules) {
          const LoraModule& found = back.modules.at(path);
          const auto ours = found.b.flatten(1).matmul(found.a.flatten(1)) * back.scale_of(found);
          const auto wanted =
              module.b.flatten(1).matmul(module.a.flatten(1)) * weights.scale_of(module);
          expect_close(ours, wanted, 1e-6);
          if (fold) {
            EXPECT_DOUBLE_EQ(found.alpha, static_cast<double>(found.rank()));
          } else if (layout == LoraLayout::kPeft) {
            EXPECT_TRUE(at::equal(found.b, module.b));
            EXPECT_DOUBLE_EQ(found.alpha, module.alpha);
          } else {
            EXPECT_DOUBLE_EQ(found.alpha, back.usual_alpha());
          }
        }
      }
    }
  }
}

TEST_F(LoraFileTest, HoldsHalfPrecisionAndRefusesWhatItCannotHold) {
  for (const auto dtype : {at::kHalf, at::kBFloat16}) {
    write_lora(file(), example(), {.layout = LoraLayout::kKohya, .dtype = dtype});
    const LoraWeights back = read_lora(file(), kPaths);
    EXPECT_EQ(back.modules.at(kQuery).a.scalar_type(), dtype);
    EXPECT_TRUE(at::equal(back.modules.at(kQuery).a, ramp({2, 5}, 1).to(dtype)));
  }
  LoraWeights large = example();
  large.modules["conv_in"].a.fill_(1e5);
  EXPECT_THAT(message_of<InputError>([&] { write_lora(file(), large, {.dtype = at::kHalf}); }),
              AllOf(HasSubstr("conv_in.lora_A.weight"), HasSubstr("Half")));
  write_lora(file(), large, {.dtype = at::kBFloat16});
  large.modules["conv_in"].a.fill_(NAN);
  write_lora(file(), large);  // a NaN is compared by its bits
}

TEST_F(LoraFileTest, SaysInItsMetadataWhatDiffusersAndKohyasToolsRead) {
  write_lora(file(), example());
  const auto peft = read_safetensors(file()).metadata;
  const auto json = nlohmann::json::parse(peft.at(kLoraMetadataKey));
  EXPECT_EQ(json.at("unet.r"), 2);
  EXPECT_EQ(json.at("unet.lora_alpha"), 3);
  EXPECT_EQ(json.at("unet.rank_pattern"), nlohmann::json({{kConvolution, 4}}));
  EXPECT_EQ(json.at("unet.alpha_pattern"), nlohmann::json({{"conv_in", 0.5}}));
  EXPECT_EQ(json.at("unet.target_modules").size(), 4u);

  LoraWeights weights = example();
  weights.modules["mid_block.attentions.0.transformer_blocks.0.attn2.to_k"] = {
      ramp({2, 768}, 0), ramp({4, 2}, 0), 3};
  weights.metadata["sshs_model_hash"] = "of another file";
  write_lora(file(), weights, {.layout = LoraLayout::kKohya});
  const auto written = read_safetensors(file());
  EXPECT_EQ(written.metadata.at("ss_network_module"), "networks.lora");
  EXPECT_EQ(written.metadata.at("ss_network_dim"), "2");
  EXPECT_EQ(written.metadata.at("ss_network_alpha"), "3.0");
  EXPECT_EQ(written.metadata.at("ss_base_model_version"), "sd_v1");
  EXPECT_FALSE(written.metadata.contains("sshs_model_hash"));
  EXPECT_EQ(written.tensors.size(), 15u);
  const auto alpha = written.tensors.at("lora_unet_conv_in.alpha");
  EXPECT_EQ(alpha.dim(), 0);
  EXPECT_EQ(alpha.item<float>(), 3);
  expect_close(written.tensors.at("lora_unet_conv_in.lora_up.weight"), ramp({8, 2, 1, 1}, 8) / 6);
  // Folded, the alphas are the ranks, of which there are two.
  write_lora(file(), weights, {.layout = LoraLayout::kKohya, .fold_alpha = true});
  EXPECT_EQ(read_safetensors(file()).tensors.size(), 10u);
}

TEST_F(LoraFileTest, ReadsDiffusersNamesOldAndNewMixedWithPefts) {
  const LoraWeights wanted = example();
  TensorMap tensors;
  const auto add = [&](const std::string& a, const std::string& b, const char* path) {
    tensors["unet." + a] = wanted.modules.at(path).a;
    tensors["unet." + b] = wanted.modules.at(path).b;
  };
  add(std::string(kQuery) + ".lora.down.weight", std::string(kQuery) + ".lora.up.weight", kQuery);
  const std::string processor =
      "down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora";
  add(processor + ".down.weight", processor + ".up.weight", kOut);
  add(std::string(kConvolution) + ".lora_A.weight",
      std::string(kConvolution) + ".lora_B.weight",
      kConvolution);
  add("conv_in.lora_A.default.weight", "conv_in.lora_B.default.weight", "conv_in");
  write_safetensors(file(), tensors, {{kLoraMetadataKey, peft_lora_metadata(wanted)}});
  expect_same(read_lora(file()), wanted);
}

TEST_F(LoraFileTest, ReadsPeftsOwnFolder) {
  const LoraWeights wanted = example();
  TensorMap tensors;
  for (const auto& [path, module] : wanted.modules) {
    tensors["base_model.model." + path + ".lora_A.weight"] = module.a;
    tensors["base_model.model." + path + ".lora_B.weight"] = module.b;
  }
  write_safetensors(file("adapter_model.safetensors"), tensors, {{"format", "pt"}});
  // Without its configuration alpha is the rank.
  const auto plain = read_lora(file("adapter_model.safetensors"));
  EXPECT_DOUBLE_EQ(plain.modules.at(kConvolution).alpha, 4);
  std::ofstream(file("adapter_config.json")) << R"({"peft_type": "LORA", "r": 2, "lora_alpha": 3,
    "rank_pattern": {"conv_shortcut": 4}, "alpha_pattern": {"conv_in|conv_out": 0.5, "conv.*": 7},
    "use_rslora": false, "init_lora_weights": true})";
  LoraWeights patterned = wanted;
  patterned.modules.at(kConvolution).alpha = 7;  // "conv.*" takes it after the first did not
  expect_same(read_lora(locate_adapter(folder.path()).lora), patterned);
}

TEST_F(LoraFileTest, ReadsKohyasNamesByTheModulesOfTheUNet) {
  LoraWeights wanted = example();
  wanted.modules["conv_in"].alpha = 3;
  write_lora(file(), wanted, {.layout = LoraLayout::kKohya});
  auto tensors = read_safetensors(file()).tensors;
  EXPECT_THAT(message_of<InputError>([&] { read_lora(file()); }), HasSubstr("UNet's modules"));
  tensors["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"] = ramp({2, 2}, 0);
  tensors["lora_te_text_model_encoder_layers_0_mlp_fc1.alpha"] = at::ones({});
  tensors["lora_unet_conv_in.alpha"] = at::ones({1}, at::kLong);  // an integer will do
  write_safetensors(file(), tensors);
  LoraWeights other = wanted;
  other.modules["conv_in"].alpha = 1;
  expect_same(read_lora(file(), kPaths), other);
  tensors.erase("lora_unet_conv_in.alpha");
  write_safetensors(file(), tensors);
  EXPECT_DOUBLE_EQ(read_lora(file(), kPaths).modules.at("conv_in").alpha, 2);
  tensors = {{"lora_unet_input_blocks_1_1_proj_in.lora_down.weight", ramp({2, 2}, 0)}};
  EXPECT_THAT(refused(tensors),
              AllOf(HasSubstr("input_blocks_1_1_proj_in"), HasSubstr("no layer of that name")));
  // "a.b_c" and "a_b.c" have one flattened name.
  write_safetensors(file(), {{"lora_unet_a_b_c.lora_down.weight", ramp({2, 2}, 0)}});
  EXPECT_THROW(read_lora(file(), {"a.b_c", "a_b.c"}), InputError);
}

TEST_F(LoraFileTest, AlphaTensorsBesidePeftsNamesCount) {
  TensorMap tensors = pair();
  tensors["unet." + std::string(kQuery) + ".alpha"] = at::full({}, 6.0);
  write_safetensors(file(), tensors);
  EXPECT_DOUBLE_EQ(read_lora(file()).modules.at(kQuery).alpha, 6);
  EXPECT_THAT(refused(tensors, {{kLoraMetadataKey, R"({"unet.r": 2, "unet.lora_alpha": 5})"}}),
              AllOf(HasSubstr("6"), HasSubstr("5"), HasSubstr("expected the same")));
}

TEST_F(LoraFileTest, OtherKindsOfAdapterAreRefusedByName) {
  const std::string module = std::string("lora_unet_conv_in");
  const std::vector<std::pair<std::string, const char*>> kinds = {
      {module + ".dora_scale", "DoRA"},
      {"unet.conv_in.lora_magnitude_vector", "DoRA"},
      {module + ".hada_w1_a", "LoHa"},
      {module + ".lokr_w1", "LoKr"},
      {module + ".lora_mid.weight", "Tucker"},
      {module + ".oft_blocks", "OFT"},
      {"unet.conv_in.lora_B.bias", "bias"},
      {module + ".diff_b", "full difference"},
      {module + ".on_input", "IA3"}};
  for (const auto& [name, kind] : kinds) {
    TensorMap tensors = pair();
    tensors[name] = at::ones({2});
    EXPECT_THAT(refused(tensors), AllOf(HasSubstr(name), HasSubstr(kind))) << name;
  }
  EXPECT_THAT(refused({{"ip_adapter.1.to_k_ip.weight", at::ones({2, 2})}}),
              HasSubstr("IP-Adapter"));
  EXPECT_THAT(refused({{"transformer.blocks.0.lora_A.weight", at::ones({2, 2})}}),
              HasSubstr("no tensor of a LoRA"));
  EXPECT_THAT(refused({{"text_encoder.text_model.q_proj.lora_A.weight", at::ones({2, 2})}}),
              HasSubstr("text encoder only"));
  EXPECT_THAT(refused({}), HasSubstr("has no tensor"));
}

TEST_F(LoraFileTest, TensorsThatDoNotFitEachOtherAreRefusedByName) {
  const auto with = [](const std::string& name, const at::Tensor& tensor) {
    TensorMap tensors = pair();
    tensors[name] = tensor;
    return tensors;
  };
  EXPECT_THAT(refused(with(lora_b_name(kQuery), ramp({6, 3}, 0))),
              AllOf(HasSubstr("[2, 5]"), HasSubstr("[6, 3]")));
  EXPECT_THAT(refused(with(lora_b_name(kQuery), ramp({6, 2, 1, 1}, 0))), HasSubstr("[6, 2, 1, 1]"));
  EXPECT_THAT(refused(with(lora_a_name(kQuery), at::zeros({0, 5}))), HasSubstr("[0, 5]"));
  EXPECT_THAT(refused(with(lora_a_name(kQuery), at::ones({2, 5}, at::kInt))), HasSubstr("Int"));
  EXPECT_THAT(refused(with("unet.conv_in.lora_A.weight", at::ones({2, 5}))),
              AllOf(HasSubstr("missing"), HasSubstr("unet.conv_in.lora_B.weight")));
  EXPECT_THAT(refused(with(std::string("unet.") + kQuery + ".lora.down.weight", ramp({2, 5}, 0))),
              HasSubstr("twice"));
  for (const auto& alpha : {at::zeros({}), at::ones({2}), at::full({}, NAN), at::full({}, -1.0)}) {
    EXPECT_THAT(refused(with(std::string("unet.") + kQuery + ".alpha", alpha)),
                HasSubstr("one number above 0"));
  }
}

TEST_F(LoraFileTest, BrokenMetadataIsAnError) {
  EXPECT_THAT(refused_metadata("[1"), HasSubstr("broken JSON"));
  EXPECT_THAT(refused_metadata("[1]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(refused_metadata(R"({"unet.lora_alpha": "many"})"),
              HasSubstr("unet.lora_alpha is \"many\""));
  EXPECT_THAT(refused_metadata(R"({"unet.lora_alpha": 0})"), HasSubstr("above 0"));
  EXPECT_THAT(refused_metadata(R"({"unet.r": 2, "unet.use_dora": true})"), HasSubstr("use_dora"));
  EXPECT_THAT(refused_metadata(R"({"unet.r": 2, "unet.use_rslora": 1})"), HasSubstr("use_rslora"));
  EXPECT_THAT(refused_metadata(R"({"unet.r": 2, "unet.peft_type": "LOHA"})"), HasSubstr("LOHA"));
  EXPECT_THAT(refused_metadata(R"({"unet.r": 2, "unet.init_lora_weights": "pissa_niter_4"})"),
              HasSubstr("pissa_niter_4"));
  EXPECT_THAT(refused_metadata(R"({"unet.r": 2, "unet.alpha_pattern": {"(a": 2}})"),
              HasSubstr("'(a'"));
  EXPECT_THAT(refused_metadata(R"({"unet.r": 2, "unet.alpha_pattern": {"a{9}{9}{9}": 2}})"),
              HasSubstr("repetition"));
  EXPECT_THAT(refused_metadata(R"({"unet.r": 2, "unet.alpha_pattern": [1]})"),
              HasSubstr("alpha_pattern"));
  EXPECT_THAT(refused_metadata(std::string(100, '[') + std::string(100, ']')), HasSubstr("deeper"));
  std::string many = R"({"unet.r": 2, "unet.alpha_pattern": {)";
  for (int i = 0; i < 40; ++i) {
    many += i > 0 ? ", \"(a*)*b" : "\"(a*)*b";
    many += std::to_string(i);
    many += "\": 1";
  }
  EXPECT_THAT(refused_metadata(many + "}}"), HasSubstr("more than 32 regular expressions"));
  // What peft writes beyond what counts here passes.
  write_safetensors(
      file(),
      pair(),
      {{kLoraMetadataKey,
        R"({"r": 2, "lora_alpha": 8, "auto_mapping": null, "eva_config": {"x": [1]}})"}});
  EXPECT_DOUBLE_EQ(read_lora(file()).modules.at(kQuery).alpha, 8);
}

TEST_F(LoraFileTest, EveryTruncationOfAFileIsAnInputError) {
  write_lora(file(), example());
  std::ifstream stream(file(), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)),
                          std::istreambuf_iterator<char>());
  for (size_t length = 0; length < bytes.size(); length += 7) {
    std::ofstream(file("cut.safetensors"), std::ios::binary) << bytes.substr(0, length);
    EXPECT_THROW(read_lora(file("cut.safetensors"), kPaths), InputError) << length;
  }
}

class LoraLoadTest : public LoraFileTest {
 protected:
  static AdapterOptions options() {
    AdapterOptions result;
    result.lora.rank = 4;
    result.lora.alpha = 6;
    result.lora.targets = {"attn1.to_q", "conv1", "proj_in"};
    result.ip_adapter.kind = "none";
    return result;
  }
  UNet2DConditionModel unet = load_unet(golden_path("base/unet"));
};

TEST_F(LoraLoadTest, TrainingGoesOnFromAFileOfAnyLayout) {
  Adapter adapter(unet, options(), 0, 1);
  for (auto& parameter : adapter.lora_parameters()) {
    torch::NoGradGuard no_grad;
    parameter.tensor.add_(0.25);
  }
  adapter.save(folder.path(), {});
  const auto weights = read_lora(folder.path() / kLoraFileName);
  write_lora(file("kohya.safetensors"), weights, {.layout = LoraLayout::kKohya});
  for (const auto& path :
       {folder.path(), file("kohya.safetensors"), folder.path() / kLoraFileName}) {
    UNet2DConditionModel other = load_unet(golden_path("base/unet"));
    Adapter next(other, options(), 0, 2);
    next.load_lora(path);
    const auto ours = adapter.lora_parameters(), theirs = next.lora_parameters();
    ASSERT_EQ(ours.size(), theirs.size());
    for (size_t i = 0; i < ours.size(); ++i)
      EXPECT_TRUE(at::equal(ours[i].tensor, theirs[i].tensor)) << ours[i].name;
  }
}

TEST_F(LoraLoadTest, AFileThatDiffersFromTheOptionsIsRefusedWithTheDifference) {
  const Adapter adapter(unet, options(), 0, 1);
  adapter.save(folder.path(), {});
  const auto refused_for = [&](const AdapterOptions& other_options) {
    UNet2DConditionModel other = load_unet(golden_path("base/unet"));
    Adapter next(other, other_options, 0, 2);
    return message_of<InputError>([&] { next.load_lora(folder.path()); });
  };
  AdapterOptions other = options();
  other.lora.rank = 5;
  EXPECT_THAT(refused_for(other), AllOf(HasSubstr("rank 4"), HasSubstr("is 5")));
  other = options();
  other.lora.alpha = 7;
  EXPECT_THAT(refused_for(other), AllOf(HasSubstr("alpha 6.0"), HasSubstr("7.0")));
  other = options();
  other.lora.use_rslora = true;
  EXPECT_THAT(refused_for(other), HasSubstr("use_rslora"));
  other = options();
  other.lora.targets.push_back("conv2");
  EXPECT_THAT(refused_for(other), AllOf(HasSubstr("missing tensor"), HasSubstr("conv2")));
  other = options();
  other.lora.targets = {"attn1.to_q", "conv1"};
  EXPECT_THAT(refused_for(other), AllOf(HasSubstr("surplus tensor"), HasSubstr("proj_in")));

  AdapterOptions without;
  without.lora.rank = 0;
  UNet2DConditionModel third = load_unet(golden_path("base/unet"));
  Adapter none(third, without, 10, 1);
  EXPECT_THAT(message_of<ConfigError>([&] { none.load_lora(folder.path()); }),
              HasSubstr("rank is 0"));
}

TEST_F(LoraLoadTest, IsFoundInRunsCheckpointsAndFiles) {
  const Adapter adapter(unet, options(), 0, 1);
  adapter.save(folder.path() / "adapter", {});
  const auto expected = folder.path() / "adapter" / kLoraFileName;
  EXPECT_EQ(locate_adapter(folder.path()).lora, expected);
  EXPECT_EQ(locate_adapter(folder.path() / "adapter").lora, expected);
  EXPECT_EQ(locate_adapter(expected).lora, expected);
  EXPECT_TRUE(locate_adapter(expected).ip_adapter.empty());
  EXPECT_THAT(message_of<InputError>([&] { locate_adapter(folder.path() / "nowhere"); }),
              HasSubstr("no such file"));
  std::filesystem::create_directories(folder.path() / "empty");
  EXPECT_THAT(message_of<InputError>([&] { locate_adapter(folder.path() / "empty"); }),
              HasSubstr(kLoraFileName));
}

TEST(ModulePattern, MatchesTheEndOfAPathAsPeftDoes) {
  const std::string path = "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_out.0";
  for (const char* text : {"to_out.0",
                           "attn2.to_out.0",
                           "attn2\\.to_out\\.0",
                           "attn[12].*",
                           ".*attn2.*",
                           "to_out.(0|1)",
                           "^down_blocks.*",
                           "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_out.0",
                           "(down|up)_blocks\\.\\d+\\..*",
                           "to_out.0$"}) {
    EXPECT_TRUE(ModulePattern(text).matches(path)) << text;
  }
  for (const char* text : {"o_out.0",
                           "to_out",
                           "out.0",
                           "attn1.to_out.0",
                           "^attentions.*",
                           "up_blocks.*",
                           "to_q",
                           "0.0",
                           "^to_out.0"}) {
    EXPECT_FALSE(ModulePattern(text).matches(path)) << text;
  }
}

TEST(ModulePattern, TakesNoExponentialTime) {
  const ModulePattern pattern("(a*)*(a*)*(a*)*b");
  EXPECT_FALSE(pattern.matches(std::string(400, 'a')));
  for (const char* text : {"", "(", "[", "a{2}", "(?=a)", "(a)\\1", "*"}) {
    EXPECT_THROW(ModulePattern{text}, std::invalid_argument) << text;
  }
  EXPECT_THROW(ModulePattern(std::string(300, 'a')), std::invalid_argument);
}

}  // namespace
}  // namespace limewash::models
