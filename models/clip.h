#pragma once
// CLIP's text and image encoders (Radford et al., "Learning Transferable Visual Models From Natural
// Language Supervision", 2021), equal to transformers' classes of the same names.
// Shapes: N batch, L tokens, C width, E size of the shared embedding, S pixels a side.

#include <cstdint>
#include <filesystem>
#include <string>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "models/clip_encoder.h"
#include "models/conv2d.h"
#include "models/lora_linear.h"
#include "models/normalization.h"

namespace limewash::models {

/// `text_encoder/config.json`, with transformers' names.
struct CLIPTextConfig {
  CLIPEncoderOptions encoder;
  int64_t vocab_size = 49408;
  int64_t max_position_embeddings = 77;
  int64_t eos_token_id = 49407;

  static CLIPTextConfig from_json(const std::filesystem::path& path);
};

struct CLIPTextOutput {
  at::Tensor last_hidden_state;  ///< [N, L, C], layer-normalised
  at::Tensor pooler_output;      ///< [N, C]: the state at the end token
};

/// Computes in the type of its weights; the results are fp32.
class CLIPTextModelImpl : public torch::nn::Module {
 public:
  explicit CLIPTextModelImpl(CLIPTextConfig config);
  /// `input_ids` [N, L] int64, L at most `max_position_embeddings`.
  CLIPTextOutput forward(const at::Tensor& input_ids);
  const CLIPTextConfig& config() const;

 private:
  CLIPTextConfig config_;
  at::Tensor token_embedding_, position_embedding_;
  CLIPEncoder encoder_{nullptr};
  LayerNorm final_layer_norm_{nullptr};
};
TORCH_MODULE(CLIPTextModel);

/// `image_encoder/config.json`, with transformers' names.
struct CLIPVisionConfig {
  CLIPEncoderOptions encoder;
  int64_t image_size = 224;
  int64_t patch_size = 32;
  int64_t num_channels = 3;
  int64_t projection_dim = 512;

  static CLIPVisionConfig from_json(const std::filesystem::path& path);
};

struct CLIPVisionOutput {
  at::Tensor image_embeds;  ///< [N, E]: the projected class token
  at::Tensor
      penultimate_hidden_state;  ///< [N, 1 + patches, C]: `hidden_states[-2]`, not layer-normalised
};

/// Computes in the type of its weights; the results have the type of `pixel_values`.
class CLIPVisionModelWithProjectionImpl : public torch::nn::Module {
 public:
  explicit CLIPVisionModelWithProjectionImpl(CLIPVisionConfig config);
  /// `pixel_values` [N, 3, S, S], normalised, S = `image_size`.
  CLIPVisionOutput forward(const at::Tensor& pixel_values);
  const CLIPVisionConfig& config() const;

 private:
  CLIPVisionConfig config_;
  at::Tensor class_embedding_, position_embedding_;
  Conv2d patch_embedding_{nullptr};
  LayerNorm pre_layrnorm_{nullptr}, post_layernorm_{nullptr};
  CLIPEncoder encoder_{nullptr};
  LoraLinear visual_projection_{nullptr};
};
TORCH_MODULE(CLIPVisionModelWithProjection);

/// Read `folder`/config.json and the weights beside it: frozen, in eval mode, in `type` on the CPU.
/// Both key layouts are read: transformers 4 puts `text_model.` before the text keys, transformers
/// 5 does not.
CLIPTextModel load_clip_text_model(const std::filesystem::path& folder,
                                   at::ScalarType type = at::kFloat);
CLIPVisionModelWithProjection load_clip_vision_model(const std::filesystem::path& folder,
                                                     at::ScalarType type = at::kFloat);

}  // namespace limewash::models
