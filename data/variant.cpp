#include "data/variant.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "runtime/random.h"

namespace limewash::data {
namespace {

std::vector<uint8_t> cut(const Variant& variant,
                         const std::vector<uint8_t>& pixels,
                         int64_t height,
                         int64_t width,
                         int channels) {
  const int type = CV_MAKETYPE(CV_8U, channels);
  // OpenCV only reads through it.
  const cv::Mat whole(
      static_cast<int>(height), static_cast<int>(width), type, const_cast<uint8_t*>(pixels.data()));
  const cv::Mat part = whole(cv::Rect(static_cast<int>(variant.left),
                                      static_cast<int>(variant.top),
                                      static_cast<int>(variant.width),
                                      static_cast<int>(variant.height)));
  std::vector<uint8_t> result(pixels.size());
  cv::Mat target(whole.rows, whole.cols, type, result.data());
  // Integer arithmetic: the same bytes on every machine.
  cv::resize(part, target, target.size(), 0, 0, cv::INTER_LINEAR_EXACT);
  if (variant.flip) cv::flip(target, target, 1);
  return result;
}

bool is_whole(const Variant& variant, int64_t height, int64_t width) {
  return !variant.flip && variant.height == height && variant.width == width;
}

int64_t count_inside(const Mask& mask, const Variant& variant) {
  int64_t count = 0;
  for (int64_t y = variant.top; y < variant.top + variant.height; ++y) {
    const uint8_t* row = &mask.pixels[static_cast<size_t>(y * mask.width)];
    count += std::count_if(
        row + variant.left, row + variant.left + variant.width, [](uint8_t v) { return v != 0; });
  }
  return count;
}

}  // namespace

Image Variant::apply(const Image& image) const {
  if (is_whole(*this, image.height, image.width)) return image;
  return {image.height, image.width, cut(*this, image.pixels, image.height, image.width, 3)};
}

Mask Variant::apply(const Mask& mask) const {
  if (is_whole(*this, mask.height, mask.width)) return mask;
  Mask result{mask.height, mask.width, cut(*this, mask.pixels, mask.height, mask.width, 1)};
  for (uint8_t& value : result.pixels) value = value > 127 ? 255 : 0;
  return result;
}

Sample Variant::apply(const Sample& sample) const {
  Sample result;
  result.image = apply(sample.image);
  result.mask = apply(sample.mask);
  result.core = apply(sample.core);
  for (size_t i = 0; i < result.core.pixels.size(); ++i)
    result.core.pixels[i] = std::min(result.core.pixels[i], result.mask.pixels[i]);
  return result;
}

Variant draw_variant(uint64_t seed, uint64_t sample_id, int64_t number, const Mask& core) {
  const Variant whole{false, 0, 0, core.height, core.width};
  if (number == 0) return whole;
  RandomStream stream(seed, Purpose::kVariant, static_cast<uint64_t>(number), sample_id);
  const uint64_t kind = stream.below(3);  // flip, crop, both
  Variant flipped = whole;
  flipped.flip = true;
  if (kind == 0) return flipped;
  const int64_t wall = count_inside(core, whole);
  constexpr int kAttempts = 8;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const float scale = stream.uniform(0.8f, 1.0f);
    const auto side = [&](int64_t full) {
      // A crop of everything would be the sample once more.
      const auto scaled = static_cast<int64_t>(std::llround(scale * static_cast<float>(full)));
      return std::max<int64_t>(1, std::min(scaled, full - 1));
    };
    Variant variant{kind == 2, 0, 0, side(core.height), side(core.width)};
    variant.top =
        static_cast<int64_t>(stream.below(static_cast<uint64_t>(core.height - variant.height + 1)));
    variant.left =
        static_cast<int64_t>(stream.below(static_cast<uint64_t>(core.width - variant.width + 1)));
    if (2 * count_inside(core, variant) >= wall) return variant;
  }
  return flipped;
}

int64_t variant_of(
    uint64_t seed, uint64_t epoch, uint64_t sample_id, int64_t recolorings, int64_t variants) {
  if (variants <= 1) return 0;
  const auto count = static_cast<uint64_t>(variants);
  const uint64_t offset =
      RandomStream(seed, Purpose::kVariant, ~uint64_t{0}, sample_id).below(count);
  // Both change in each epoch. When both are back where they started, this one skips a step.
  const auto cycle = std::lcm(count, static_cast<uint64_t>(std::max<int64_t>(recolorings, 1)));
  return static_cast<int64_t>((offset + epoch % count + epoch / cycle % count) % count);
}

}  // namespace limewash::data
