#include "models/original_config.h"

#include <utility>
#include <vector>

#include <torch/torch.h>

#include "models/weights.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

using nlohmann::json;

constexpr int64_t kHeadsOfGeneration1 = 8;
constexpr int64_t kHeadChannels = 64;  // of generation 2's UNet, and of both text encoders

/// Sizes of tensors by name.
class Shapes {
 public:
  Shapes(const TensorMap& tensors, const std::string& file) : tensors_(tensors), file_(file) {}

  bool contains(const std::string& name) const {
    return tensors_.contains(name);
  }

  int64_t size(const std::string& name, int64_t dimension, int64_t dimensions) const {
    const at::Tensor& tensor = find(name);
    if (tensor.dim() != dimensions || tensor.size(dimension) < 1) {
      throw InputError(file_ + ": " + name + " has the shape " + shape_text(tensor.sizes()) +
                       ": expected " + std::to_string(dimensions) + " dimensions");
    }
    return tensor.size(dimension);
  }

  int64_t dimensions(const std::string& name) const {
    return find(name).dim();
  }

  /// How many of BEFORE 0 AFTER, BEFORE 1 AFTER … there are.
  int64_t count(const std::string& before, const std::string& after) const {
    int64_t number = 0;
    while (contains(before + std::to_string(number) + after)) ++number;
    return number;
  }

  /// Blocks on the way down; at least one.
  int64_t levels(const std::string& blocks) const {
    const std::string first_layer = ".resnets.0.conv1.weight";
    find(blocks + "0" + first_layer);
    return count(blocks, first_layer);
  }

  /// `channels` / kHeadChannels
  int64_t heads(int64_t channels, const std::string& of) const {
    if (channels % kHeadChannels != 0) {
      throw InputError(file_ + ": " + of + " has " + std::to_string(channels) +
                       " channels: expected a multiple of " + std::to_string(kHeadChannels));
    }
    return channels / kHeadChannels;
  }

 private:
  const at::Tensor& find(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw InputError(file_ + ": no tensor becomes " + name);
    return found->second;
  }

  const TensorMap& tensors_;
  const std::string& file_;
};

}  // namespace

json unet_config(const OriginalCheckpoint& checkpoint, const std::string& file) {
  const Shapes shapes(checkpoint.unet, file);
  const int64_t levels = shapes.levels("down_blocks.");
  const std::string middle = "mid_block.attentions.0.";
  std::vector<int64_t> channels, heads;
  std::vector<std::string> down, up;
  for (int64_t level = 0; level < levels; ++level) {
    const std::string block = "down_blocks." + std::to_string(level);
    channels.push_back(shapes.size(block + ".resnets.0.conv1.weight", 0, 4));
    if (checkpoint.generation == StableDiffusionGeneration::k2) {
      heads.push_back(shapes.heads(channels.back(), block));
    }
    const bool attention = shapes.contains(block + ".attentions.0.norm.weight");
    down.emplace_back(attention ? "CrossAttnDownBlock2D" : "DownBlock2D");
    up.emplace(up.begin(), attention ? "CrossAttnUpBlock2D" : "UpBlock2D");
  }
  json config = {
      {"_class_name", "UNet2DConditionModel"},
      {"_diffusers_version", kDiffusersVersion},
      {"act_fn", "silu"},
      {"attention_head_dim", kHeadsOfGeneration1},
      {"block_out_channels", channels},
      {"center_input_sample", false},
      {"cross_attention_dim", shapes.size(middle + "transformer_blocks.0.attn2.to_k.weight", 1, 2)},
      {"down_block_types", down},
      {"downsample_padding", 1},
      {"flip_sin_to_cos", true},
      {"freq_shift", 0},
      {"in_channels", shapes.size("conv_in.weight", 1, 4)},
      {"layers_per_block", shapes.count("down_blocks.0.resnets.", ".conv1.weight")},
      {"mid_block_scale_factor", 1},
      {"norm_eps", 1e-5},
      {"norm_num_groups", 32},
      {"out_channels", shapes.size("conv_out.weight", 0, 4)},
      {"sample_size", 64},
      {"transformer_layers_per_block",
       shapes.count(middle + "transformer_blocks.", ".norm1.weight")},
      {"up_block_types", up},
      {"use_linear_projection", shapes.dimensions(middle + "proj_in.weight") == 2}};
  if (!heads.empty()) config["attention_head_dim"] = heads;
  return config;
}

json vae_config(const OriginalCheckpoint& checkpoint, const std::string& file) {
  const Shapes shapes(checkpoint.vae, file);
  const int64_t levels = shapes.levels("encoder.down_blocks.");
  std::vector<int64_t> channels;
  for (int64_t level = 0; level < levels; ++level) {
    channels.push_back(shapes.size(
        "encoder.down_blocks." + std::to_string(level) + ".resnets.0.conv1.weight", 0, 4));
  }
  const auto blocks = static_cast<size_t>(levels);
  return {{"_class_name", "AutoencoderKL"},
          {"_diffusers_version", kDiffusersVersion},
          {"act_fn", "silu"},
          {"block_out_channels", channels},
          {"down_block_types", std::vector<std::string>(blocks, "DownEncoderBlock2D")},
          {"in_channels", shapes.size("encoder.conv_in.weight", 1, 4)},
          {"latent_channels", shapes.size("decoder.conv_in.weight", 1, 4)},
          {"layers_per_block", shapes.count("encoder.down_blocks.0.resnets.", ".conv1.weight")},
          {"norm_num_groups", 32},
          {"out_channels", shapes.size("decoder.conv_out.weight", 0, 4)},
          {"sample_size", 512},
          {"scaling_factor", 0.18215},
          {"up_block_types", std::vector<std::string>(blocks, "UpDecoderBlock2D")}};
}

json text_encoder_config(const OriginalCheckpoint& checkpoint, const std::string& file) {
  const Shapes shapes(checkpoint.text_encoder, file);
  const std::string embeddings = "text_model.embeddings.";
  const std::string layers = "text_model.encoder.layers.";
  const int64_t size = shapes.size(embeddings + "token_embedding.weight", 1, 2);
  const bool open_clip = checkpoint.generation == StableDiffusionGeneration::k2;
  return {{"architectures", {"CLIPTextModel"}},
          {"attention_dropout", 0.0},
          {"bos_token_id", 0},
          {"dropout", 0.0},
          // As in the public folders: 2 stands for "the highest id marks the end".
          {"eos_token_id", 2},
          {"hidden_act", open_clip ? "gelu" : "quick_gelu"},
          {"hidden_size", size},
          {"initializer_factor", 1.0},
          {"initializer_range", 0.02},
          {"intermediate_size", shapes.size(layers + "0.mlp.fc1.weight", 0, 2)},
          {"layer_norm_eps", 1e-5},
          {"max_position_embeddings", shapes.size(embeddings + "position_embedding.weight", 0, 2)},
          {"model_type", "clip_text_model"},
          {"num_attention_heads", shapes.heads(size, "the text encoder")},
          {"num_hidden_layers", shapes.count(layers, ".mlp.fc1.weight")},
          {"pad_token_id", 1},
          {"projection_dim", open_clip ? 512 : 768},
          {"vocab_size", shapes.size(embeddings + "token_embedding.weight", 0, 2)}};
}

json scheduler_config(const std::string& prediction_type) {
  return {{"_class_name", "DDIMScheduler"},
          {"_diffusers_version", kDiffusersVersion},
          {"beta_end", 0.012},
          {"beta_schedule", "scaled_linear"},
          {"beta_start", 0.00085},
          {"clip_sample", false},
          {"num_train_timesteps", 1000},
          {"prediction_type", prediction_type},
          {"set_alpha_to_one", false},
          {"steps_offset", 1},
          {"timestep_spacing", "leading"},
          {"trained_betas", nullptr}};
}

json pipeline_index(bool inpainting, bool has_tokenizer) {
  const json none = {nullptr, nullptr};
  json index = {
      {"_class_name", inpainting ? "StableDiffusionInpaintPipeline" : "StableDiffusionPipeline"},
      {"_diffusers_version", kDiffusersVersion},
      {"feature_extractor", none},
      {"image_encoder", none},
      {"requires_safety_checker", false},
      {"safety_checker", none},
      {"scheduler", {"diffusers", "DDIMScheduler"}},
      {"text_encoder", {"transformers", "CLIPTextModel"}},
      {"tokenizer", none},
      {"unet", {"diffusers", "UNet2DConditionModel"}},
      {"vae", {"diffusers", "AutoencoderKL"}}};
  if (has_tokenizer) index["tokenizer"] = {"transformers", "CLIPTokenizer"};
  return index;
}

}  // namespace limewash::models
