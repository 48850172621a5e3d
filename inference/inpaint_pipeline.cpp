#include "inference/inpaint_pipeline.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <torch/torch.h>

#include "runtime/random.h"
#include "runtime/stop_signal.h"

namespace limewash::inference {
namespace {

at::Device device_of(const torch::nn::Module& module) {
  const std::vector<at::Tensor> parameters = module.parameters();
  return parameters.empty() ? at::Device(at::kCPU) : parameters.front().device();
}

/// Images of one size -> [N, H, W, 3] bytes.
at::Tensor images_to_bytes(std::span<const data::Image> images) {
  TORCH_CHECK(!images.empty(), "expected at least one image");
  const int64_t height = images.front().height, width = images.front().width;
  at::Tensor bytes =
      torch::empty({static_cast<int64_t>(images.size()), height, width, 3}, torch::kUInt8);
  uint8_t* out = bytes.data_ptr<uint8_t>();
  for (const data::Image& image : images) {
    TORCH_CHECK(image.height == height && image.width == width,
                "images of one batch differ: ",
                width,
                "x",
                height,
                " and ",
                image.width,
                "x",
                image.height);
    std::memcpy(out, image.pixels.data(), image.pixels.size());
    out += image.pixels.size();
  }
  return bytes;
}

}  // namespace

at::Tensor images_to_pixels(std::span<const data::Image> images) {
  return images_to_bytes(images)
      .permute({0, 3, 1, 2})
      .to(torch::kFloat32)
      .div_(127.5)
      .sub_(1.0)
      .contiguous();
}

std::vector<data::Image> pixels_to_images(const at::Tensor& pixels) {
  TORCH_CHECK(
      pixels.dim() == 4 && pixels.size(1) == 3, "expected [N, 3, H, W], got ", pixels.sizes());
  const at::Tensor floats = pixels.to(torch::kCPU, torch::kFloat32);
  const at::Tensor finite = floats.isfinite().flatten(1).all(1);  // [N]
  const at::Tensor bytes = floats.nan_to_num(0.0)
                               .clamp(-1, 1)
                               .add(1)
                               .mul(127.5)
                               .round()
                               .to(torch::kUInt8)
                               .permute({0, 2, 3, 1})
                               .contiguous();
  const int64_t height = bytes.size(1), width = bytes.size(2);
  const int64_t size = height * width * 3;
  std::vector<data::Image> images;
  for (int64_t i = 0; i < bytes.size(0); ++i) {
    if (!finite[i].item<bool>()) {
      images.emplace_back();
      continue;
    }
    const uint8_t* begin = bytes.const_data_ptr<uint8_t>() + i * size;
    images.push_back({height, width, std::vector<uint8_t>(begin, begin + size)});
  }
  return images;
}

at::Tensor masks_to_latents(std::span<const data::Mask> masks, int64_t downscale) {
  TORCH_CHECK(!masks.empty(), "expected at least one mask");
  const int64_t height = masks.front().height / downscale, width = masks.front().width / downscale;
  at::Tensor latents = torch::empty({static_cast<int64_t>(masks.size()), 1, height, width});
  float* out = latents.data_ptr<float>();
  for (const data::Mask& mask : masks) {
    TORCH_CHECK(mask.height == height * downscale && mask.width == width * downscale,
                "masks of one batch must have one size, a multiple of ",
                downscale,
                "; got ",
                mask.width,
                "x",
                mask.height);
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        *out++ = mask.pixels[(y * mask.width + x) * downscale] >= 128 ? 1.0f : 0.0f;
      }
    }
  }
  return latents;
}

EncodedHoles encode_holes(models::BaseModel& base,
                          const data::ReferenceOptions& options,
                          std::span<const data::Image> photos,
                          std::span<const data::Mask> walls) {
  TORCH_CHECK(photos.size() == walls.size(), photos.size(), " photos and ", walls.size(), " masks");
  const torch::NoGradGuard no_gradients;
  std::vector<data::Image> filled;
  std::vector<data::Mask> holes;
  for (size_t i = 0; i < photos.size(); ++i) {
    filled.push_back(data::fill_hole(options, photos[i], walls[i]));
    holes.push_back(data::hole_mask(options, walls[i]));
  }
  const at::Tensor pixels = images_to_pixels(filled).to(device_of(base.vae->module()));
  const at::Tensor latents = models::encode_pixels(base, pixels).first;
  const at::Device device = device_of(*base.unet);
  const int64_t downscale = photos.front().height / latents.size(2);
  return {masks_to_latents(holes, downscale).to(device), latents.to(device)};
}

at::Tensor encode_reference_images(models::BaseModel& base,
                                   std::span<const data::Image> images,
                                   models::ReferenceFeatures features) {
  const torch::NoGradGuard no_gradients;
  const at::Tensor rgb = images_to_bytes(images)
                             .permute({0, 3, 1, 2})
                             .to(device_of(*base.image_encoder), torch::kFloat32)
                             .div_(255.0)
                             .contiguous();
  return models::encode_reference(base, rgb, features).to(device_of(*base.unet));
}

std::vector<data::Image> decode_images(models::BaseModel& base, const at::Tensor& latents) {
  const torch::NoGradGuard no_gradients;
  return pixels_to_images(models::decode_latents(base, latents.to(device_of(base.vae->module()))));
}

std::vector<data::Image> round_trip(models::BaseModel& base, std::span<const data::Image> images) {
  const torch::NoGradGuard no_gradients;
  const at::Tensor pixels = images_to_pixels(images).to(device_of(base.vae->module()));
  return pixels_to_images(models::decode_latents(base, models::encode_pixels(base, pixels).first));
}

at::Tensor painting_noise(
    uint64_t seed, const std::string& name, int64_t channels, int64_t height, int64_t width) {
  at::Tensor noise = torch::empty({channels, height, width});
  RandomStream stream(seed, Purpose::kEvaluation, 0, stable_id(name));
  stream.fill_normal({noise.data_ptr<float>(), static_cast<size_t>(noise.numel())});
  return noise;
}

void set_reference(Condition& condition,
                   models::Adapter* adapter,
                   const at::Tensor& features,
                   const at::Tensor& dropped_features) {
  if (adapter == nullptr) {
    condition.reference = at::Tensor();
    condition.dropped_reference = at::Tensor();
    return;
  }
  const torch::NoGradGuard no_gradients;
  condition.reference = adapter->project_reference(features);
  condition.dropped_reference = adapter->project_reference(dropped_features.to(features.device()));
}

std::optional<std::vector<data::Image>> paint(models::BaseModel& base,
                                              const SamplerOptions& sampler,
                                              const Condition& condition) {
  const at::Tensor latents = sample_ddim(base.unet, base.schedule, sampler, condition);
  if (!latents.defined()) return std::nullopt;
  return decode_images(base, latents);
}

std::optional<std::vector<data::Image>> paint(models::BaseModel& base,
                                              models::Adapter* adapter,
                                              const data::ReferenceOptions& options,
                                              const SamplerOptions& sampler,
                                              uint64_t seed,
                                              std::span<const PaintRequest> requests) {
  std::vector<data::Image> photos, references;
  std::vector<data::Mask> walls;
  for (const PaintRequest& request : requests) {
    photos.push_back(request.photo);
    walls.push_back(request.wall);
    references.push_back(request.reference);
  }
  EncodedHoles holes = encode_holes(base, options, photos, walls);
  Condition condition;
  condition.mask = holes.mask;
  condition.hole_latents = holes.hole_latents;
  std::vector<at::Tensor> noise;
  for (const PaintRequest& request : requests) {
    const at::Tensor& latents = holes.hole_latents;
    noise.push_back(
        painting_noise(seed, request.name, latents.size(1), latents.size(2), latents.size(3)));
  }
  condition.noise = torch::stack(noise).to(holes.hole_latents.device());
  condition.text = models::encode_empty_prompt(base).to(holes.hole_latents.device());
  if (adapter != nullptr) {
    const models::ReferenceFeatures features = adapter->reference_features();
    set_reference(condition,
                  adapter,
                  encode_reference_images(base, references, features),
                  models::encode_dropped_reference(base, features));
  }
  return paint(base, sampler, condition);
}

data::Image paste_outside(const data::Image& painted,
                          const data::Image& photo,
                          const data::Mask& hole,
                          int64_t feather) {
  TORCH_CHECK(painted.height == photo.height && painted.width == photo.width &&
                  hole.height == photo.height && hole.width == photo.width,
              "painted, photo and hole must have one size");
  const int64_t height = photo.height, width = photo.width;
  // Weight of the painted picture: 1 in the hole, falling to 0 over `feather` pixels outside of it.
  // Rows first, then columns: the distance is the larger of both.
  const auto is_hole = [&](int64_t y, int64_t x) { return hole.pixels[y * width + x] >= 128; };
  const int64_t far = feather + 1;
  std::vector<int64_t> row_distance(height * width, far), distance(height * width, far);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t d = 0; d <= feather; ++d) {
        if ((x >= d && is_hole(y, x - d)) || (x + d < width && is_hole(y, x + d))) {
          row_distance[y * width + x] = d;
          break;
        }
      }
    }
  }
  data::Image result = photo;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      int64_t nearest = far;
      for (int64_t dy = -feather; dy <= feather; ++dy) {
        if (y + dy < 0 || y + dy >= height) continue;
        nearest = std::min(nearest, std::max(std::abs(dy), row_distance[(y + dy) * width + x]));
      }
      const float weight = 1.0f - static_cast<float>(nearest) / static_cast<float>(far);
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t at = (y * width + x) * 3 + c;
        const float mixed = weight * static_cast<float>(painted.pixels[at]) +
                            (1.0f - weight) * static_cast<float>(photo.pixels[at]);
        result.pixels[at] = static_cast<uint8_t>(std::lround(mixed));
      }
    }
  }
  return result;
}

}  // namespace limewash::inference
