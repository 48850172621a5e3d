#pragma once
// Photos to conditions, latents to pictures, and both together: repaint the walls of a batch of
// photos.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/image.h"
#include "data/reference.h"
#include "inference/ddim.h"
#include "models/adapter.h"
#include "models/base_model.h"

namespace limewash::inference {

/// Pixels of a side of a reference image; the image encoder scales it to its own size.
inline constexpr int64_t kSwatchSize = 224;

/// Images of one size -> [N, 3, H, W] in [-1, 1], on the CPU.
at::Tensor images_to_pixels(std::span<const data::Image> images);
/// [N, 3, H, W] in [-1, 1], clamped and rounded to 8 bits. A picture with a value that is not
/// finite becomes an empty image of 0 x 0: it is missing, and no number must be made of it.
std::vector<data::Image> pixels_to_images(const at::Tensor& pixels);
/// Masks of one size -> [N, 1, H / downscale, W / downscale] of 0 and 1, nearest, as diffusers'
/// pipeline does.
at::Tensor masks_to_latents(std::span<const data::Mask> masks, int64_t downscale);

/// What the UNet sees of photos: the hole and the photo without what was in it.
struct EncodedHoles {
  at::Tensor mask;          ///< [N, 1, h, w], 1 = hole
  at::Tensor hole_latents;  ///< [N, C, h, w], scaled
};

/// Photos of one size and their wall masks. Sides must be multiples of the VAE's downscale.
EncodedHoles encode_holes(models::BaseModel& base,
                          const data::ReferenceOptions& options,
                          std::span<const data::Image> photos,
                          std::span<const data::Mask> walls);

/// Reference images of one size -> image_embeds [N, E] or penultimate hidden states [N, P, C].
at::Tensor encode_reference_images(
    models::BaseModel& base,
    std::span<const data::Image> images,
    models::ReferenceFeatures features = models::ReferenceFeatures::kImageEmbeds);
/// Scaled latents [N, C, h, w] -> N images.
std::vector<data::Image> decode_images(models::BaseModel& base, const at::Tensor& latents);
/// Through the VAE and back: what no adapter can beat.
std::vector<data::Image> round_trip(models::BaseModel& base, std::span<const data::Image> images);

/// Standard normal noise [C, h, w] of the painting called `name`, from (seed, kEvaluation, 0,
/// stable id of `name`): the same wherever and with whatever it is painted.
at::Tensor painting_noise(
    uint64_t seed, const std::string& name, int64_t channels, int64_t height, int64_t width);

/// Set `reference` and `dropped_reference` of a condition from the features of the references
/// [N, ...] and of a dropped one [1, ...] (models::encode_dropped_reference). Without an adapter
/// both stay undefined.
void set_reference(Condition& condition,
                   models::Adapter* adapter,
                   const at::Tensor& features,
                   const at::Tensor& dropped_features);

/// Sample and decode, without gradients. nullopt when a stop was requested meanwhile.
std::optional<std::vector<data::Image>> paint(models::BaseModel& base,
                                              const SamplerOptions& sampler,
                                              const Condition& condition);

/// One photo to repaint.
struct PaintRequest {
  data::Image photo;
  data::Mask wall;
  data::Image reference;  ///< a square picture of the colour
  std::string name;       ///< keys the noise
};

/// Repaint photos of one size with `adapter` (nullptr: the base alone, no reference). The pictures
/// are as the network made them: nothing is pasted back. nullopt when a stop was requested
/// meanwhile.
std::optional<std::vector<data::Image>> paint(models::BaseModel& base,
                                              models::Adapter* adapter,
                                              const data::ReferenceOptions& options,
                                              const SamplerOptions& sampler,
                                              uint64_t seed,
                                              std::span<const PaintRequest> requests);

/// The painted hole in the untouched photo; the seam is a ramp of `feather` pixels outside the
/// hole.
data::Image paste_outside(const data::Image& painted,
                          const data::Image& photo,
                          const data::Mask& hole,
                          int64_t feather);

}  // namespace limewash::inference
