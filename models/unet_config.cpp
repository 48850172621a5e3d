#include <set>

#include "models/strict_json.h"
#include "models/unet.h"

namespace limewash::models {

UNetConfig UNetConfig::from_json(const std::filesystem::path& path) {
  ModelConfigFile file(path);
  UNetConfig config;
  file.require("_class_name", {"UNet2DConditionModel"});
  config.in_channels = file.integer("in_channels", 4);
  config.out_channels = file.integer("out_channels", 4);
  config.center_input_sample = file.boolean("center_input_sample", false);
  config.flip_sin_to_cos = file.boolean("flip_sin_to_cos", true);
  config.freq_shift = file.integer("freq_shift", 0, {0, 1});
  config.block_out_channels = file.integer_list("block_out_channels");
  const size_t levels = config.block_out_channels.size();
  config.down_block_types = file.text_list("down_block_types");
  config.up_block_types = file.text_list("up_block_types");
  config.layers_per_block = file.integers("layers_per_block", 2, levels, {1, 64});
  config.transformer_layers_per_block =
      file.integers("transformer_layers_per_block", 1, levels, {1, 64});
  config.num_attention_heads = file.integers("attention_head_dim", 8, levels, {1, 4096});
  config.cross_attention_dim = file.integers("cross_attention_dim", 1280, levels);
  config.downsample_padding = file.integer("downsample_padding", 1, {0, 1});
  config.mid_block_scale_factor = file.number("mid_block_scale_factor", 1, {1e-6, 1e6});
  config.norm_num_groups = file.integer("norm_num_groups", 32);
  config.norm_eps = file.number("norm_eps", 1e-5, {0, 1});
  config.use_linear_projection = file.boolean("use_linear_projection", false);
  config.time_embedding_dim = file.integer("time_embedding_dim", 4 * config.block_out_channels[0]);
  config.conv_in_kernel = file.integer("conv_in_kernel", 3, {1, 15});
  config.conv_out_kernel = file.integer("conv_out_kernel", 3, {1, 15});

  file.require("mid_block_type", {"UNetMidBlock2DCrossAttn"});
  file.require("act_fn", {"silu", "swish"});
  file.require("only_cross_attention", {false});
  file.require("mid_block_only_cross_attention", {false});
  file.require("dual_cross_attention", {false});
  file.require("class_embeddings_concat", {false});
  file.require("resnet_skip_time_act", {false});
  file.require("resnet_time_scale_shift", {"default"});
  file.require("resnet_out_scale_factor", {1.0});
  file.require("time_embedding_type", {"positional"});
  file.require("attention_type", {"default"});
  file.require("dropout", {0.0});
  // Known only as null: a value would add weights or change what they do.
  for (const char* key : {"addition_embed_type",
                          "addition_time_embed_dim",
                          "class_embed_type",
                          "cross_attention_norm",
                          "encoder_hid_dim",
                          "encoder_hid_dim_type",
                          "num_attention_heads",
                          "num_class_embeds",
                          "projection_class_embeddings_input_dim",
                          "reverse_transformer_layers_per_block",
                          "time_cond_proj_dim",
                          "time_embedding_act_fn",
                          "timestep_post_act"}) {
    file.require(key, {nullptr});
  }
  // upcast_attention is about half precision; the rest says nothing about the network at hand.
  file.ignore({"sample_size", "upcast_attention", "addition_embed_type_num_heads"});
  file.finish();

  for (const auto& type : config.down_block_types) {
    if (type != "CrossAttnDownBlock2D" && type != "DownBlock2D") {
      file.reject("down_block_types", "CrossAttnDownBlock2D or DownBlock2D");
    }
  }
  for (const auto& type : config.up_block_types) {
    if (type != "CrossAttnUpBlock2D" && type != "UpBlock2D") {
      file.reject("up_block_types", "CrossAttnUpBlock2D or UpBlock2D");
    }
  }
  if (config.down_block_types.size() != levels) file.reject("down_block_types", "one a block");
  if (config.up_block_types.size() != levels) file.reject("up_block_types", "one a block");
  for (size_t i = 0; i < levels; ++i) {
    if (config.block_out_channels[i] % config.norm_num_groups != 0) {
      file.reject("block_out_channels", "multiples of norm_num_groups");
    }
    if (config.num_attention_heads[i] > config.block_out_channels[i]) {
      file.reject("attention_head_dim", "no more heads than channels");
    }
    if (config.cross_attention_dim[i] != config.cross_attention_dim[0]) {
      file.reject("cross_attention_dim", "one width for all blocks");
    }
  }
  if (config.conv_in_kernel % 2 == 0) file.reject("conv_in_kernel", "an odd number");
  if (config.conv_out_kernel % 2 == 0) file.reject("conv_out_kernel", "an odd number");
  if (config.block_out_channels[0] / 2 <= config.freq_shift) {
    file.reject("block_out_channels", "a first block wide enough for the time embedding");
  }
  return config;
}

}  // namespace limewash::models
