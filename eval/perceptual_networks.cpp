#include "eval/perceptual_networks.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "eval/clip_similarity.h"
#include "eval/lpips.h"

namespace limewash::eval {
namespace {

/// One pixel is enough: the encoder's square is plain either way.
data::Image plain_picture(const data::Rgb& color) {
  data::Image image{1, 1, {}};
  for (const float value : color) {
    image.pixels.push_back(
        static_cast<uint8_t>(std::lround(std::clamp(value, 0.0f, 1.0f) * 255.0f)));
  }
  return image;
}

}  // namespace

PerceptualNetworks::PerceptualNetworks(std::unique_ptr<const Lpips> lpips,
                                       std::unique_ptr<const ClipSimilarity> clip)
    : lpips_(std::move(lpips)), clip_(std::move(clip)) {}

PerceptualNetworks::PerceptualNetworks(const std::string& lpips_file, const models::BaseModel& base)
    : PerceptualNetworks(lpips_file.empty() ? nullptr : std::make_unique<const Lpips>(lpips_file),
                         std::make_unique<const ClipSimilarity>(base)) {}

PerceptualNetworks::~PerceptualNetworks() = default;

std::optional<std::string> PerceptualNetworks::lpips_network() const {
  return lpips_ ? std::optional(lpips_->network()) : std::nullopt;
}

std::optional<double> PerceptualNetworks::lpips(const data::Image& a,
                                                const data::Image& b,
                                                const Pixels& pixels) const {
  return lpips_ ? lpips_->distance(a, b, pixels) : std::nullopt;
}

std::optional<double> PerceptualNetworks::clip_similarity(const data::Image& picture,
                                                          const data::Mask& region,
                                                          const data::Rgb& asked,
                                                          const data::Image* reference) {
  if (!clip_) return std::nullopt;
  if (reference != nullptr) return clip_->similarity(picture, region, clip_->embed(*reference));
  at::Tensor& known = embedding_of_color_[asked];
  if (!known.defined()) known = clip_->embed(plain_picture(asked));
  return clip_->similarity(picture, region, known);
}

}  // namespace limewash::eval
