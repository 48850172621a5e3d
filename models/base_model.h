#pragma once
// A base model: a diffusers folder (model_index.json, unet/, vae/, text_encoder/, tokenizer/,
// scheduler/, image_encoder/), read by its config.json files; no size is hard-coded.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/autoencoder_kl.h"
#include "models/clip.h"
#include "models/noise_schedule.h"
#include "models/unet.h"
#include "runtime/config.h"

namespace limewash::models {

/// `base`: where to start from.
struct BaseOptions {
  std::string model = "models/limewash-tiny";
  std::string image_encoder;  ///< "" means MODEL/image_encoder
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

/// All parts, frozen (no gradients), in eval mode, fp32 on the CPU.
struct BaseModel {
  UNet2DConditionModel unet{nullptr};
  AutoencoderKL vae{nullptr};
  CLIPTextModel text_encoder{nullptr};
  CLIPVisionModelWithProjection image_encoder{nullptr};
  NoiseSchedule schedule{NoiseScheduleConfig{}};
  at::Tensor empty_prompt_ids;  ///< [1, L] int64: start, end, padding; from tokenizer/
  std::string fingerprint;  ///< hex, over the bytes of every weight and config file of the encoders
  std::string name;         ///< the folder's name
  ImagePreprocessing preprocessing;
};

/// Errors name the file, the key and both shapes.
BaseModel load_base_model(const BaseOptions& options);

/// Scaled latents: (vae latents) * scaling_factor of vae/config.json, and back.
/// `pixels` [N, 3, H, W] in [-1, 1] -> mean and standard deviation [N, C, h, w], both scaled.
std::pair<at::Tensor, at::Tensor> encode_pixels(BaseModel& base, const at::Tensor& pixels);
/// Scaled latents -> pixels in [-1, 1] (not clamped).
at::Tensor decode_latents(BaseModel& base, const at::Tensor& latents);
/// RGB [N, 3, S, S] in [0, 1] at any S -> image_embeds [N, E]; resized and normalised as
/// transformers' CLIPImageProcessor does (image_encoder/preprocessor_config.json where there is
/// one).
at::Tensor encode_reference(BaseModel& base, const at::Tensor& rgb);
/// last_hidden_state [1, L, D] of the empty prompt.
at::Tensor encode_empty_prompt(BaseModel& base);

}  // namespace limewash::models
