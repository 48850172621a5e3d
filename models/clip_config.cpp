#include <limits>

#include "models/clip.h"
#include "models/strict_json.h"

namespace limewash::models {

namespace {

CLIPEncoderOptions read_encoder(ModelConfigFile& file) {
  CLIPEncoderOptions options;
  options.hidden_size = file.integer("hidden_size", std::nullopt);
  options.intermediate_size = file.integer("intermediate_size", std::nullopt);
  options.num_hidden_layers = file.integer("num_hidden_layers", 12, {1, 1024});
  options.num_attention_heads = file.integer("num_attention_heads", std::nullopt);
  options.layer_norm_eps = file.number("layer_norm_eps", 1e-5, {0, 1});
  options.hidden_act = file.text("hidden_act", "quick_gelu");
  if (options.hidden_act != "quick_gelu" && options.hidden_act != "gelu") {
    file.reject("hidden_act", "quick_gelu or gelu");
  }
  if (options.hidden_size % options.num_attention_heads != 0) {
    file.reject("num_attention_heads", "a divisor of hidden_size");
  }
  return options;
}

/// What transformers writes beside the network's own keys. Dropout acts in training only, and the
/// encoders are never trained.
void ignore_common(ModelConfigFile& file) {
  file.ignore({"architectures",
               "attention_dropout",
               "bos_token_id",
               "dropout",
               "dtype",
               "initializer_factor",
               "initializer_range",
               "pad_token_id",
               "torch_dtype",
               "transformers_version"});
  // Defaults of PretrainedConfig that old files spell out; they steer outputs and text generation.
  file.ignore({"add_cross_attention",
               "bad_words_ids",
               "begin_suppress_tokens",
               "chunk_size_feed_forward",
               "cross_attention_hidden_size",
               "decoder_start_token_id",
               "diversity_penalty",
               "do_sample",
               "early_stopping",
               "encoder_no_repeat_ngram_size",
               "exponential_decay_length_penalty",
               "finetuning_task",
               "forced_bos_token_id",
               "forced_eos_token_id",
               "id2label",
               "is_decoder",
               "is_encoder_decoder",
               "label2id",
               "length_penalty",
               "max_length",
               "min_length",
               "no_repeat_ngram_size",
               "num_beam_groups",
               "num_beams",
               "num_return_sequences",
               "output_attentions",
               "output_hidden_states",
               "output_scores",
               "prefix",
               "problem_type",
               "remove_invalid_values",
               "repetition_penalty",
               "return_dict",
               "return_dict_in_generate",
               "sep_token_id",
               "suppress_tokens",
               "task_specific_params",
               "temperature",
               "tf_legacy_loss",
               "tie_encoder_decoder",
               "tie_word_embeddings",
               "tokenizer_class",
               "top_k",
               "top_p",
               "torchscript",
               "typical_p",
               "use_bfloat16",
               "use_cache"});
  file.require("pruned_heads", {nlohmann::json::object()});
}

}  // namespace

CLIPTextConfig CLIPTextConfig::from_json(const std::filesystem::path& path) {
  ModelConfigFile file(path);
  CLIPTextConfig config;
  file.require("model_type", {"clip_text_model"});
  config.encoder = read_encoder(file);
  config.vocab_size = file.integer("vocab_size", 49408, {1, 1 << 24});
  config.max_position_embeddings = file.integer("max_position_embeddings", 77);
  config.eos_token_id = file.integer("eos_token_id", 49407, {0, 1 << 24});
  ignore_common(file);
  file.ignore({"projection_dim"});  // belongs to the projected class, which diffusion does not use
  file.finish();
  return config;
}

CLIPVisionConfig CLIPVisionConfig::from_json(const std::filesystem::path& path) {
  ModelConfigFile file(path);
  CLIPVisionConfig config;
  file.require("model_type", {"clip_vision_model"});
  config.encoder = read_encoder(file);
  config.image_size = file.integer("image_size", 224, {1, 8192});
  config.patch_size = file.integer("patch_size", 32, {1, 8192});
  config.num_channels = file.integer("num_channels", 3);
  config.projection_dim = file.integer("projection_dim", 512);
  if (config.patch_size > config.image_size) file.reject("patch_size", "at most image_size");
  ignore_common(file);
  file.ignore({"eos_token_id"});
  file.finish();
  return config;
}

}  // namespace limewash::models
