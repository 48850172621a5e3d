#include "models/lora_keys.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace limewash::models {

namespace {

constexpr std::string_view kKohyaPrefix = "lora_unet_";

struct Suffix {
  std::string_view text;
  LoraPart part;
};

// "default" is the name that peft gives an adapter.
constexpr std::array<Suffix, 12> kSuffixes = {{{".lora_A.weight", LoraPart::kA},
                                               {".lora_B.weight", LoraPart::kB},
                                               {".lora_A.default.weight", LoraPart::kA},
                                               {".lora_B.default.weight", LoraPart::kB},
                                               {".lora.down.weight", LoraPart::kA},
                                               {".lora.up.weight", LoraPart::kB},
                                               {".lora_linear_layer.down.weight", LoraPart::kA},
                                               {".lora_linear_layer.up.weight", LoraPart::kB},
                                               {".lora_down.weight", LoraPart::kA},
                                               {".lora_up.weight", LoraPart::kB},
                                               {"_lora.down.weight", LoraPart::kA},
                                               {"_lora.up.weight", LoraPart::kB}}};

struct Prefix {
  std::string_view text;
  LoraNetwork network;
  bool flattened;
};

constexpr std::array<Prefix, 8> kPrefixes = {{{kKohyaPrefix, LoraNetwork::kUNet, true},
                                              {"lora_te_", LoraNetwork::kTextEncoder, true},
                                              {"lora_te1_", LoraNetwork::kTextEncoder, true},
                                              {"lora_te2_", LoraNetwork::kTextEncoder, true},
                                              {"unet.", LoraNetwork::kUNet, false},
                                              {"text_encoder.", LoraNetwork::kTextEncoder, false},
                                              {"text_encoder_2.", LoraNetwork::kTextEncoder, false},
                                              {"base_model.model.", LoraNetwork::kUNet, false}}};

// How the paths of a UNet begin.
constexpr std::array<std::string_view, 6> kUNetBeginnings = {
    "down_blocks.", "mid_block.", "up_blocks.", "conv_in", "conv_out", "time_embedding."};

/// attn1.processor.to_out -> attn1.to_out.0: before it used peft, diffusers kept the LoRA in the
/// attention's processor.
std::string from_processor(std::string_view path) {
  const std::string_view between = ".processor.";
  const size_t position = path.find(between);
  std::string result(path.substr(0, position));
  if (position != std::string_view::npos) {
    result += '.';
    result += path.substr(position + between.size());
  }
  if (result.ends_with(".to_out")) result += ".0";
  return result;
}

}  // namespace

std::optional<LoraKey> parse_lora_key(const std::string& name) {
  LoraKey key;
  std::string_view rest = name;
  bool of_processor = false;
  const auto suffix = std::find_if(kSuffixes.begin(), kSuffixes.end(), [&](const Suffix& known) {
    return rest.ends_with(known.text);
  });
  if (suffix != kSuffixes.end()) {
    key.part = suffix->part;
    of_processor = suffix->text.starts_with('_');
    rest.remove_suffix(suffix->text.size());
  } else if (rest.ends_with(".alpha")) {
    key.part = LoraPart::kAlpha;
    rest.remove_suffix(std::string_view(".alpha").size());
  } else {
    return {};
  }
  const auto prefix = std::find_if(kPrefixes.begin(), kPrefixes.end(), [&](const Prefix& known) {
    return rest.starts_with(known.text);
  });
  if (prefix != kPrefixes.end()) {
    key.network = prefix->network;
    key.flattened = prefix->flattened;
    key.prefix = prefix->text;
    rest.remove_prefix(prefix->text.size());
  } else if (std::none_of(
                 kUNetBeginnings.begin(), kUNetBeginnings.end(), [&](std::string_view beginning) {
                   return rest.starts_with(beginning);
                 })) {
    return {};
  }
  if (rest.empty()) return {};
  key.module = of_processor ? from_processor(rest) : std::string(rest);
  return key;
}

std::string unsupported_lora_variant(const std::string& name) {
  struct Mark {
    std::string_view text;
    const char* variant;
  };
  static constexpr std::array<Mark, 16> kMarks = {
      {{".dora_scale", "DoRA"},
       {".lora_magnitude_vector", "DoRA"},
       {".hada_", "LoHa"},
       {".lokr_", "LoKr"},
       {".oft_", "OFT"},
       {".boft_", "BOFT"},
       {".lora_mid.", "LoRA with a Tucker decomposition (lora_mid)"},
       {".on_input", "IA3"},
       {".ia3_", "IA3"},
       {".vera_lambda", "VeRA"},
       {".lora_E", "AdaLoRA"},
       {".lora_embedding_", "LoRA of an embedding"},
       {".lora_A.bias", "LoRA with a bias"},
       {".lora_B.bias", "LoRA with a bias"},
       {".lora_up.bias", "LoRA with a bias"},
       {".diff", "a full difference of weights"}}};
  for (const Mark& mark : kMarks) {
    if (name.find(mark.text) != std::string::npos) return mark.variant;
  }
  return "";
}

std::string kohya_module_name(const std::string& module_path) {
  std::string name(kKohyaPrefix);
  name += module_path;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

}  // namespace limewash::models
