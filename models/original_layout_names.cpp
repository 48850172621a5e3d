// One name at a time.

#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "models/original_layout.h"

namespace limewash::models {

namespace {

using Renaming = std::pair<std::string_view, std::string_view>;

/// Takes a name apart from the left.
class NameParts {
 public:
  explicit NameParts(std::string_view name) : rest_(name) {}

  bool take(std::string_view prefix) {
    if (!rest_.starts_with(prefix)) return false;
    rest_.remove_prefix(prefix.size());
    return true;
  }

  /// "12." -> 12
  std::optional<int64_t> take_number() {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    const auto length = static_cast<size_t>(end - rest_.data());
    if (error != std::errc() || number < 0 || number > 1'000'000 || length >= rest_.size() ||
        rest_[length] != '.') {
      return std::nullopt;
    }
    rest_.remove_prefix(length + 1);
    return number;
  }

  std::string_view rest() const {
    return rest_;
  }

 private:
  std::string_view rest_;
};

/// `rest` with its beginning renamed, or "" when it begins with none of the names.
template <size_t N>
std::string renamed(std::string_view rest, const std::array<Renaming, N>& renamings) {
  for (const auto& [from, to] : renamings) {
    if (rest.starts_with(from)) return std::string(to) + std::string(rest.substr(from.size()));
  }
  return "";
}

std::string below(const std::string& path, const std::string& name) {
  return name.empty() ? "" : path + "." + name;
}

std::string unet_resnet(const std::string& path, std::string_view rest) {
  static constexpr std::array<Renaming, 6> kNames = {{{"in_layers.0.", "norm1."},
                                                      {"in_layers.2.", "conv1."},
                                                      {"out_layers.0.", "norm2."},
                                                      {"out_layers.3.", "conv2."},
                                                      {"emb_layers.1.", "time_emb_proj."},
                                                      {"skip_connection.", "conv_shortcut."}}};
  return below(path, renamed(rest, kNames));
}

std::string vae_resnet(const std::string& path, std::string_view rest) {
  static constexpr std::array<Renaming, 5> kNames = {{{"norm1.", "norm1."},
                                                      {"conv1.", "conv1."},
                                                      {"norm2.", "norm2."},
                                                      {"conv2.", "conv2."},
                                                      {"nin_shortcut.", "conv_shortcut."}}};
  return below(path, renamed(rest, kNames));
}

std::string vae_attention(const std::string& path, std::string_view rest) {
  static constexpr std::array<Renaming, 5> kNames = {{{"norm.", "group_norm."},
                                                      {"q.", "to_q."},
                                                      {"k.", "to_k."},
                                                      {"v.", "to_v."},
                                                      {"proj_out.", "to_out.0."}}};
  return below(path, renamed(rest, kNames));
}

/// Block `block` of one of the UNet's sides: a residual block at 0, then attention or a change of
/// size.
std::string unet_block(const std::string& path, int64_t layer, NameParts parts) {
  const auto place = parts.take_number();
  if (!place) return "";
  if (parts.take("op.")) return path + ".downsamplers.0.conv." + std::string(parts.rest());
  if (*place > 0 && parts.take("conv.")) {
    return path + ".upsamplers.0.conv." + std::string(parts.rest());
  }
  if (*place == 0) return unet_resnet(path + ".resnets." + std::to_string(layer), parts.rest());
  if (*place != 1) return "";
  return path + ".attentions." + std::to_string(layer) + "." + std::string(parts.rest());
}

std::string vae_middle(const std::string& path, NameParts parts) {
  if (parts.take("block_1.")) return vae_resnet(path + ".mid_block.resnets.0", parts.rest());
  if (parts.take("block_2.")) return vae_resnet(path + ".mid_block.resnets.1", parts.rest());
  if (parts.take("attn_1.")) return vae_attention(path + ".mid_block.attentions.0", parts.rest());
  return "";
}

/// Block `level` of the encoder or decoder, already counted as diffusers does.
std::string vae_block(const std::string& path, NameParts parts, const char* change_of_size) {
  if (parts.take("block.")) {
    const auto layer = parts.take_number();
    return layer ? vae_resnet(path + ".resnets." + std::to_string(*layer), parts.rest()) : "";
  }
  if (parts.take("downsample.conv.") || parts.take("upsample.conv.")) {
    return path + "." + change_of_size + ".0.conv." + std::string(parts.rest());
  }
  return "";
}

}  // namespace

std::string translate_unet_name(const std::string& name, int64_t layers_per_block) {
  static constexpr std::array<Renaming, 5> kOuter = {{{"time_embed.0.", "time_embedding.linear_1."},
                                                      {"time_embed.2.", "time_embedding.linear_2."},
                                                      {"input_blocks.0.0.", "conv_in."},
                                                      {"out.0.", "conv_norm_out."},
                                                      {"out.2.", "conv_out."}}};
  if (const std::string outer = renamed(name, kOuter); !outer.empty()) return outer;
  NameParts parts(name);
  // Each block ends with a change of size on the way down, and holds one layer more on the way up.
  const int64_t step = layers_per_block + 1;
  if (parts.take("input_blocks.")) {
    const auto number = parts.take_number();
    if (!number || *number < 1) return "";
    return unet_block(
        "down_blocks." + std::to_string((*number - 1) / step), (*number - 1) % step, parts);
  }
  if (parts.take("output_blocks.")) {
    const auto number = parts.take_number();
    if (!number) return "";
    return unet_block("up_blocks." + std::to_string(*number / step), *number % step, parts);
  }
  if (parts.take("middle_block.0.")) return unet_resnet("mid_block.resnets.0", parts.rest());
  if (parts.take("middle_block.2.")) return unet_resnet("mid_block.resnets.1", parts.rest());
  if (parts.take("middle_block.1.")) return "mid_block.attentions.0." + std::string(parts.rest());
  return "";
}

std::string translate_vae_name(const std::string& name, int64_t levels) {
  NameParts parts(name);
  if (parts.take("quant_conv.") || parts.take("post_quant_conv.")) return name;
  const bool encoder = parts.take("encoder.");
  if (!encoder && !parts.take("decoder.")) return "";
  const std::string side = encoder ? "encoder" : "decoder";
  if (parts.take("mid.")) return vae_middle(side, parts);
  if (encoder && parts.take("down.")) {
    const auto level = parts.take_number();
    if (!level) return "";
    return vae_block(side + ".down_blocks." + std::to_string(*level), parts, "downsamplers");
  }
  if (!encoder && parts.take("up.")) {
    const auto level = parts.take_number();
    if (!level || *level >= levels) return "";
    return vae_block(
        side + ".up_blocks." + std::to_string(levels - 1 - *level), parts, "upsamplers");
  }
  static constexpr std::array<Renaming, 3> kOuter = {
      {{"conv_in.", "conv_in."}, {"conv_out.", "conv_out."}, {"norm_out.", "conv_norm_out."}}};
  return below(side, renamed(parts.rest(), kOuter));
}

std::string translate_open_clip_name(const std::string& name) {
  if (name == "positional_embedding") return "text_model.embeddings.position_embedding.weight";
  static constexpr std::array<Renaming, 2> kOuter = {
      {{"token_embedding.", "text_model.embeddings.token_embedding."},
       {"ln_final.", "text_model.final_layer_norm."}}};
  if (const std::string outer = renamed(name, kOuter); !outer.empty()) return outer;
  NameParts parts(name);
  if (!parts.take("transformer.resblocks.")) return "";
  const auto layer = parts.take_number();
  if (!layer) return "";
  static constexpr std::array<Renaming, 5> kNames = {{{"ln_1.", "layer_norm1."},
                                                      {"ln_2.", "layer_norm2."},
                                                      {"mlp.c_fc.", "mlp.fc1."},
                                                      {"mlp.c_proj.", "mlp.fc2."},
                                                      {"attn.out_proj.", "self_attn.out_proj."}}};
  return below("text_model.encoder.layers." + std::to_string(*layer),
               renamed(parts.rest(), kNames));
}

}  // namespace limewash::models
