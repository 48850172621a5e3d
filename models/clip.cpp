#include "models/clip.h"

#include <utility>

#include <torch/torch.h>

#include "models/weights.h"

namespace limewash::models {

CLIPTextModelImpl::CLIPTextModelImpl(CLIPTextConfig config) : config_(std::move(config)) {
  const int64_t size = config_.encoder.hidden_size;
  auto text_model =
      register_module("text_model", std::make_shared<torch::nn::Module>("CLIPTextTransformer"));
  auto embeddings = text_model->register_module(
      "embeddings", std::make_shared<torch::nn::Module>("CLIPTextEmbeddings"));
  const auto add_embedding = [&](const char* name, int64_t count) {
    auto embedding =
        embeddings->register_module(name, std::make_shared<torch::nn::Module>("Embedding"));
    return embedding->register_parameter(
        "weight", at::empty({count, size}), /*requires_grad=*/false);
  };
  token_embedding_ = add_embedding("token_embedding", config_.vocab_size);
  position_embedding_ = add_embedding("position_embedding", config_.max_position_embeddings);
  encoder_ = text_model->register_module("encoder", CLIPEncoder(config_.encoder));
  final_layer_norm_ = text_model->register_module("final_layer_norm",
                                                  LayerNorm(size, config_.encoder.layer_norm_eps));
}

CLIPTextOutput CLIPTextModelImpl::forward(const at::Tensor& input_ids) {
  TORCH_CHECK(input_ids.dim() == 2 && input_ids.size(1) >= 1 &&
                  input_ids.size(1) <= config_.max_position_embeddings,
              "CLIP input_ids: expected [N, 1 to ",
              config_.max_position_embeddings,
              "], got ",
              input_ids.sizes());
  const int64_t length = input_ids.size(1);
  const at::Tensor embedded =
      at::embedding(token_embedding_, input_ids) + position_embedding_.slice(0, 0, length);
  const at::Tensor hidden_states =
      final_layer_norm_->forward(encoder_->forward(embedded, /*causal=*/true));
  // Files written before the end token's id was corrected say 2: there the highest id marks the
  // end. Otherwise it is the first end token, since padding may use the same id.
  const at::Tensor end = config_.eos_token_id == 2
                             ? input_ids.argmax(1)
                             : input_ids.eq(config_.eos_token_id).to(at::kInt).argmax(1);
  const at::Tensor rows = at::arange(input_ids.size(0), end.options());
  const at::Tensor states = hidden_states.to(at::kFloat);
  return {states, states.index({rows, end})};
}

const CLIPTextConfig& CLIPTextModelImpl::config() const {
  return config_;
}

CLIPVisionModelWithProjectionImpl::CLIPVisionModelWithProjectionImpl(CLIPVisionConfig config)
    : config_(std::move(config)) {
  const int64_t size = config_.encoder.hidden_size;
  const double eps = config_.encoder.layer_norm_eps;
  const int64_t side = config_.image_size / config_.patch_size;
  auto vision_model =
      register_module("vision_model", std::make_shared<torch::nn::Module>("CLIPVisionTransformer"));
  auto embeddings = vision_model->register_module(
      "embeddings", std::make_shared<torch::nn::Module>("CLIPVisionEmbeddings"));
  class_embedding_ = embeddings->register_parameter("class_embedding", at::empty({size}), false);
  patch_embedding_ =
      embeddings->register_module("patch_embedding",
                                  Conv2d(Conv2dOptions{.in_channels = config_.num_channels,
                                                       .out_channels = size,
                                                       .kernel = config_.patch_size,
                                                       .stride = config_.patch_size,
                                                       .bias = false}));
  auto position = embeddings->register_module("position_embedding",
                                              std::make_shared<torch::nn::Module>("Embedding"));
  position_embedding_ =
      position->register_parameter("weight", at::empty({side * side + 1, size}), false);
  // The public key really is spelt like this.
  pre_layrnorm_ = vision_model->register_module("pre_layrnorm", LayerNorm(size, eps));
  encoder_ = vision_model->register_module("encoder", CLIPEncoder(config_.encoder));
  post_layernorm_ = vision_model->register_module("post_layernorm", LayerNorm(size, eps));
  visual_projection_ = register_module(
      "visual_projection", LoraLinear(size, config_.projection_dim, /*with_bias=*/false));
}

CLIPVisionOutput CLIPVisionModelWithProjectionImpl::forward(const at::Tensor& pixel_values) {
  TORCH_CHECK(pixel_values.dim() == 4 && pixel_values.size(1) == config_.num_channels &&
                  pixel_values.size(2) == config_.image_size &&
                  pixel_values.size(3) == config_.image_size,
              "CLIP pixel_values: expected [N, ",
              config_.num_channels,
              ", ",
              config_.image_size,
              ", ",
              config_.image_size,
              "], got ",
              pixel_values.sizes());
  const at::Tensor patches =
      patch_embedding_->forward(pixel_values.to(patch_embedding_->weight.scalar_type()))
          .flatten(2)
          .transpose(1, 2);  // [N, patches, C]
  const at::Tensor start = class_embedding_.expand({pixel_values.size(0), 1, -1});
  const at::Tensor embedded = at::cat({start, patches}, 1) + position_embedding_;
  CLIPVisionOutput output;
  const at::Tensor last = encoder_->forward(
      pre_layrnorm_->forward(embedded), /*causal=*/false, &output.penultimate_hidden_state);
  output.image_embeds = visual_projection_->forward(post_layernorm_->forward(last.select(1, 0)))
                            .to(pixel_values.scalar_type());
  output.penultimate_hidden_state = output.penultimate_hidden_state.to(pixel_values.scalar_type());
  return output;
}

const CLIPVisionConfig& CLIPVisionModelWithProjectionImpl::config() const {
  return config_;
}

CLIPTextModel load_clip_text_model(const std::filesystem::path& folder, at::ScalarType type) {
  CLIPTextModel model(CLIPTextConfig::from_json(folder / "config.json"));
  load_weights(*model, find_weights(folder, "model"), adapt_clip_text_key, type);
  return model;
}

CLIPVisionModelWithProjection load_clip_vision_model(const std::filesystem::path& folder,
                                                     at::ScalarType type) {
  CLIPVisionModelWithProjection model(CLIPVisionConfig::from_json(folder / "config.json"));
  load_weights(*model, find_weights(folder, "model"), adapt_clip_vision_key, type);
  return model;
}

}  // namespace limewash::models
