#include "eval/clip_similarity.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <torch/torch.h>

namespace limewash::eval {
namespace {

/// The part of `image` in the bounding box of `region`; empty for an empty region.
data::Image bounding_box(const data::Image& image, const data::Mask& region) {
  int64_t top = image.height, bottom = -1, left = image.width, right = -1;
  for (int64_t y = 0; y < region.height; ++y) {
    for (int64_t x = 0; x < region.width; ++x) {
      if (region.pixels[y * region.width + x] < 128) continue;
      top = std::min(top, y);
      bottom = y;
      left = std::min(left, x);
      right = std::max(right, x);
    }
  }
  data::Image part;
  if (bottom < 0) return part;
  part.height = bottom - top + 1;
  part.width = right - left + 1;
  for (int64_t y = top; y <= bottom; ++y) {
    const auto row = image.pixels.begin() + 3 * (y * image.width + left);
    part.pixels.insert(part.pixels.end(), row, row + 3 * part.width);
  }
  return part;
}

}  // namespace

ClipSimilarity::ClipSimilarity(const models::BaseModel& base)
    : encoder_(base.image_encoder), preprocessing_(base.preprocessing) {}

ClipSimilarity::ClipSimilarity(const std::filesystem::path& image_encoder)
    : encoder_(models::load_clip_vision_model(image_encoder)),
      preprocessing_(
          models::ImagePreprocessing::from_folder(image_encoder, encoder_->config().image_size)) {}

at::Tensor ClipSimilarity::embed(const data::Image& picture) const {
  const torch::NoGradGuard no_gradients;
  const int64_t side = encoder_->config().image_size;
  at::Tensor bytes = torch::from_blob(const_cast<uint8_t*>(picture.pixels.data()),
                                      {1, picture.height, picture.width, 3},
                                      torch::kUInt8)
                         .permute({0, 3, 1, 2})
                         .contiguous();
  if (picture.height != side || picture.width != side) {
    bytes = at::_upsample_bicubic2d_aa(bytes, {side, side}, /*align_corners=*/false);
  }
  const auto channels = [](const std::vector<double>& values) {
    return torch::tensor(values, torch::kFloat).view({1, 3, 1, 1});
  };
  const at::Tensor pixels = (bytes.to(torch::kFloat) / 255 - channels(preprocessing_.mean)) /
                            channels(preprocessing_.std);
  const at::Device device = encoder_->parameters().front().device();
  const at::Tensor embedding = encoder_->forward(pixels.to(device))
                                   .image_embeds.squeeze(0)
                                   .to(torch::TensorOptions(torch::kCPU).dtype(torch::kDouble));
  const double length = embedding.norm().item<double>();
  if (!(length > 0) || !std::isfinite(length)) return {};
  return embedding / length;
}

std::optional<double> ClipSimilarity::similarity(const data::Image& picture,
                                                 const data::Mask& region,
                                                 const at::Tensor& reference) const {
  const data::Image part = bounding_box(picture, region);
  if (part.pixels.empty() || !reference.defined()) return std::nullopt;
  const at::Tensor embedding = embed(part);
  if (!embedding.defined()) return std::nullopt;
  return 100 * embedding.dot(reference).item<double>();
}

}  // namespace limewash::eval
