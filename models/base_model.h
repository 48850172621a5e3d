#pragma once
// A base model: a diffusers folder (model_index.json, unet/, vae/, text_encoder/, tokenizer/,
// scheduler/, image_encoder/), read by its config.json files; no size is hard-coded.

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/autoencoder.h"
#include "models/clip.h"
#include "models/clip_tokenizer.h"
#include "models/noise_schedule.h"
#include "models/reference_features.h"
#include "models/unet.h"
#include "runtime/config.h"

namespace limewash::models {

/// `base`: where to start from.
struct BaseOptions {
  std::string model = "models/limewash-tiny";
  std::string image_encoder;  ///< "" means MODEL/image_encoder
  std::string ip_adapter;     ///< file of an IP-Adapter to start from; "" means a new one
  std::string lora;           ///< file or folder of a LoRA to start from; "" means a new one
  /// What the network is trained to output: model (as the folder's scheduler says) | epsilon |
  /// v_prediction.
  std::string prediction_type = "model";
  /// Betas rescaled so that the last timestep is noise alone: model | on | off.
  std::string zero_terminal_snr = "model";
  /// Of samplers: model | leading | trailing | linspace.
  std::string timestep_spacing = "model";
  void describe(config::Fields& fields);
  void validate() const;
};

/// How a picture becomes the image encoder's input: `image_encoder/preprocessor_config.json`, with
/// CLIPImageProcessor's defaults where there is none.
struct ImagePreprocessing {
  int64_t resize = 224;  ///< the shorter side's length before the centre is cropped
  int64_t crop = 224;
  std::vector<double> mean = {0.48145466, 0.4578275, 0.40821073};
  std::vector<double> std = {0.26862954, 0.26130258, 0.27577711};

  /// `image_size` is what the encoder takes. Throws InputError for another result or another
  /// method.
  static ImagePreprocessing from_folder(const std::filesystem::path& folder, int64_t image_size);
};

/// All parts, frozen (no gradients), in eval mode, on the CPU unless moved.
struct BaseModel {
  UNet2DConditionModel unet{nullptr};
  std::shared_ptr<Autoencoder> vae;  ///< AutoencoderKL or AutoencoderTiny
  CLIPTextModel text_encoder{nullptr};
  CLIPVisionModelWithProjection image_encoder{nullptr};
  NoiseSchedule schedule{NoiseScheduleConfig{}};
  std::shared_ptr<const ClipTokenizer> tokenizer;
  std::string fingerprint;  ///< hex, over the bytes of every weight and config file of the encoders
  std::string name;         ///< the folder's name
  ImagePreprocessing preprocessing;
};

/// The schedule of a folder under what `options` override. ConfigError for a zero terminal SNR that
/// is asked for with an epsilon-prediction: noise alone says nothing of the picture.
NoiseScheduleConfig schedule_config(const BaseOptions& options,
                                    const std::filesystem::path& scheduler_config);

/// All networks are held and computed in `type` (models/precision.h); what they take and give is
/// fp32 either way. Outputs in another type are other outputs, so the fingerprint names any but
/// fp32. Errors name the file, the key and both shapes.
BaseModel load_base_model(const BaseOptions& options, at::ScalarType type = at::kFloat);

/// Move all networks to `device`.
void move_to(BaseModel& base, at::Device device);

/// Scaled latents: (vae latents) * scaling_factor of vae/config.json, and back. Both go through the
/// VAE in pieces of at most kPixelsAtOnce pixels (but one picture at least), so that a large batch
/// takes no more memory than a small one.
inline constexpr int64_t kPixelsAtOnce = int64_t{1} << 19;
/// `pixels` [N, 3, H, W] in [-1, 1] -> mean and standard deviation [N, C, h, w], both scaled.
std::pair<at::Tensor, at::Tensor> encode_pixels(BaseModel& base, const at::Tensor& pixels);
/// Scaled latents -> pixels in [-1, 1] (not clamped).
at::Tensor decode_latents(BaseModel& base, const at::Tensor& latents);
/// RGB [N, 3, S, S] in [0, 1] at any S -> image_embeds [N, E] or the penultimate hidden state
/// [N, 1 + patches, C]; resized and normalised as transformers' CLIPImageProcessor does
/// (image_encoder/preprocessor_config.json where there is one).
at::Tensor encode_reference(BaseModel& base,
                            const at::Tensor& rgb,
                            ReferenceFeatures features = ReferenceFeatures::kImageEmbeds);
/// What stands for a reference that was dropped, [1, E] or [1, 1 + patches, C]: the zero embedding,
/// or the hidden state of an input of zeros. IP-Adapter trains its two kinds so, and diffusers'
/// pipelines ask for it as the unconditional side.
at::Tensor encode_dropped_reference(BaseModel& base, ReferenceFeatures features);
/// last_hidden_state [N, L, D] of N prompts, captions for example.
at::Tensor encode_prompts(BaseModel& base, const std::vector<std::string>& prompts);
/// The same of the empty prompt, [1, L, D].
at::Tensor encode_empty_prompt(BaseModel& base);

}  // namespace limewash::models
