#include "models/unet.h"

#include <utility>

#include <torch/torch.h>

#include "models/weights.h"

namespace limewash::models {

namespace {

/// The options that blocks at place `level` (0 = full latent size) share.
UNetBlockOptions block_options(const UNetConfig& config, size_t level) {
  return {.temb_channels = config.time_embedding_dim,
          .downsample_padding = config.downsample_padding,
          .resnet_eps = config.norm_eps,
          .resnet_groups = config.norm_num_groups,
          .num_attention_heads = config.num_attention_heads[level],
          .cross_attention_dim = config.cross_attention_dim[level],
          .transformer_layers = config.transformer_layers_per_block[level],
          .use_linear_projection = config.use_linear_projection};
}

void list_attentions(const std::string& path,
                     const std::vector<Transformer2DModel>& transformers,
                     std::vector<std::pair<std::string, Attention>>& list) {
  for (size_t i = 0; i < transformers.size(); ++i) {
    const auto& blocks = transformers[i]->transformer_blocks();
    for (size_t j = 0; j < blocks.size(); ++j) {
      const std::string prefix =
          path + ".attentions." + std::to_string(i) + ".transformer_blocks." + std::to_string(j);
      list.emplace_back(prefix + ".attn1", blocks[j]->attn1);
      list.emplace_back(prefix + ".attn2", blocks[j]->attn2);
    }
  }
}

/// `rows` [N, ...] in `type`; one row that was expanded stays one.
at::Tensor cast_rows(const at::Tensor& rows, at::ScalarType type) {
  if (rows.size(0) < 2 || rows.stride(0) != 0) return rows.to(type);
  return rows.narrow(0, 0, 1).to(type).expand(rows.sizes());
}

}  // namespace

UNet2DConditionModelImpl::UNet2DConditionModelImpl(UNetConfig config) : config_(std::move(config)) {
  const auto& channels = config_.block_out_channels;
  const size_t levels = channels.size();
  conv_in_ = register_module("conv_in",
                             Conv2d(Conv2dOptions{.in_channels = config_.in_channels,
                                                  .out_channels = channels[0],
                                                  .kernel = config_.conv_in_kernel,
                                                  .padding = (config_.conv_in_kernel - 1) / 2}));
  time_embedding_ =
      register_module("time_embedding", TimestepEmbedding(channels[0], config_.time_embedding_dim));

  auto down = register_module("down_blocks", torch::nn::ModuleList());
  for (size_t i = 0; i < levels; ++i) {
    UNetBlockOptions options = block_options(config_, i);
    options.in_channels = channels[i == 0 ? 0 : i - 1];
    options.out_channels = channels[i];
    options.num_layers = config_.layers_per_block[i];
    options.resample = i + 1 < levels;
    options.has_cross_attention = config_.down_block_types[i] == "CrossAttnDownBlock2D";
    down_blocks_.emplace_back(options);
    down->push_back(down_blocks_.back());
  }

  auto up = register_module("up_blocks", torch::nn::ModuleList());
  for (size_t i = 0; i < levels; ++i) {
    const size_t level = levels - 1 - i;
    UNetBlockOptions options = block_options(config_, level);
    options.in_channels = channels[level == 0 ? 0 : level - 1];
    options.out_channels = channels[level];
    options.prev_output_channel = channels[i == 0 ? level : level + 1];
    options.num_layers = config_.layers_per_block[level] + 1;
    options.resample = i + 1 < levels;
    options.has_cross_attention = config_.up_block_types[i] == "CrossAttnUpBlock2D";
    up_blocks_.emplace_back(options);
    up->push_back(up_blocks_.back());
  }

  UNetBlockOptions middle = block_options(config_, levels - 1);
  middle.in_channels = middle.out_channels = channels.back();
  middle.output_scale_factor = config_.mid_block_scale_factor;
  mid_block_ = register_module("mid_block", UNetMidBlock(middle));

  conv_norm_out_ = register_module(
      "conv_norm_out", GroupNorm(config_.norm_num_groups, channels[0], config_.norm_eps));
  conv_out_ = register_module("conv_out",
                              Conv2d(Conv2dOptions{.in_channels = channels[0],
                                                   .out_channels = config_.out_channels,
                                                   .kernel = config_.conv_out_kernel,
                                                   .padding = (config_.conv_out_kernel - 1) / 2}));
}

void UNet2DConditionModelImpl::check_inputs(const at::Tensor& sample,
                                            const at::Tensor& timesteps,
                                            const at::Tensor& encoder_hidden_states,
                                            at::TensorList ip_hidden_states) const {
  TORCH_CHECK(sample.dim() == 4 && sample.size(1) == config_.in_channels,
              "UNet sample: expected [N, ",
              config_.in_channels,
              ", H, W], got ",
              sample.sizes());
  const int64_t batch = sample.size(0);
  TORCH_CHECK(timesteps.dim() == 1 && timesteps.size(0) == batch,
              "UNet timesteps: expected [",
              batch,
              "], got ",
              timesteps.sizes());
  const int64_t width = config_.cross_attention_dim[0];
  TORCH_CHECK(encoder_hidden_states.dim() == 3 && encoder_hidden_states.size(0) == batch &&
                  encoder_hidden_states.size(2) == width,
              "UNet encoder_hidden_states: expected [",
              batch,
              ", L, ",
              width,
              "], got ",
              encoder_hidden_states.sizes());
  for (size_t place = 0; place < ip_hidden_states.size(); ++place) {
    const at::Tensor& tokens = ip_hidden_states[place];
    TORCH_CHECK(!tokens.defined() ||
                    (tokens.dim() == 3 && tokens.size(0) == batch && tokens.size(2) == width),
                "UNet ip_hidden_states ",
                place,
                ": expected [",
                batch,
                ", T, ",
                width,
                "], got ",
                tokens.sizes());
  }
}

at::Tensor UNet2DConditionModelImpl::forward(const at::Tensor& sample,
                                             const at::Tensor& timesteps,
                                             const at::Tensor& encoder_hidden_states,
                                             at::TensorList ip_hidden_states,
                                             const ControlResiduals& control) {
  check_inputs(sample, timesteps, encoder_hidden_states, ip_hidden_states);
  const auto type = conv_in_->weight.scalar_type();
  const at::Tensor input = sample.to(type);
  // 1. Time; the sinusoids in fp32, as diffusers does
  const at::Tensor time = timestep_embedding(timesteps,
                                             config_.block_out_channels[0],
                                             config_.flip_sin_to_cos,
                                             static_cast<double>(config_.freq_shift));
  UNetConditioning conditioning{
      time_embedding_->forward(time.to(type)), cast_rows(encoder_hidden_states, type), {}};
  for (const at::Tensor& tokens : ip_hidden_states)
    conditioning.ip_hidden_states.push_back(tokens.defined() ? tokens.to(type) : tokens);
  conditioning.gradient_checkpointing = gradient_checkpointing_;

  // 2. Down
  at::Tensor hidden_states = conv_in_->forward(config_.center_input_sample ? 2 * input - 1 : input);
  std::vector<at::Tensor> residuals{hidden_states};
  for (auto& block : down_blocks_)
    hidden_states = block->forward(hidden_states, conditioning, residuals);
  if (!control.down_blocks.empty()) {
    TORCH_CHECK(control.down_blocks.size() == residuals.size(),
                "UNet: expected ",
                residuals.size(),
                " down_block_residuals, got ",
                control.down_blocks.size());
    for (size_t i = 0; i < residuals.size(); ++i) {
      TORCH_CHECK(control.down_blocks[i].sizes() == residuals[i].sizes(),
                  "UNet down_block_residual_",
                  i,
                  ": expected ",
                  residuals[i].sizes(),
                  ", got ",
                  control.down_blocks[i].sizes());
      residuals[i] = residuals[i] + control.down_blocks[i].to(type);
    }
  }

  // 3. Middle
  hidden_states = mid_block_->forward(hidden_states, conditioning);
  if (control.mid_block.defined()) {
    TORCH_CHECK(control.mid_block.sizes() == hidden_states.sizes(),
                "UNet mid_block_residual: expected ",
                hidden_states.sizes(),
                ", got ",
                control.mid_block.sizes());
    hidden_states = hidden_states + control.mid_block.to(type);
  }

  // 4. Up
  for (auto& block : up_blocks_)
    hidden_states = block->forward(hidden_states, conditioning, residuals);
  return conv_out_->forward(conv_norm_out_->forward_silu(hidden_states)).to(sample.scalar_type());
}

void UNet2DConditionModelImpl::set_gradient_checkpointing(bool enabled) {
  gradient_checkpointing_ = enabled;
}

const UNetConfig& UNet2DConditionModelImpl::config() const {
  return config_;
}

std::vector<std::pair<std::string, Attention>> UNet2DConditionModelImpl::attentions() const {
  std::vector<std::pair<std::string, Attention>> list;
  for (size_t i = 0; i < down_blocks_.size(); ++i) {
    list_attentions("down_blocks." + std::to_string(i), down_blocks_[i]->attentions(), list);
  }
  for (size_t i = 0; i < up_blocks_.size(); ++i) {
    list_attentions("up_blocks." + std::to_string(i), up_blocks_[i]->attentions(), list);
  }
  list_attentions("mid_block", mid_block_->attentions(), list);
  return list;
}

UNet2DConditionModel load_unet(const std::filesystem::path& folder, at::ScalarType type) {
  UNet2DConditionModel unet(UNetConfig::from_json(folder / "config.json"));
  load_weights(*unet, find_weights(folder, "diffusion_pytorch_model"), {}, type);
  return unet;
}

}  // namespace limewash::models
