#include "data/crop_scale.h"

#include <algorithm>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "data/area_scale.h"

namespace limewash::data {
namespace {

/// Whether scaling is by area.
bool shrinks(const Rectangle& part, int64_t out_height, int64_t out_width) {
  return part.height >= out_height && part.width >= out_width;
}

PixelView view(const std::vector<uint8_t>& pixels,
               int64_t width,
               int64_t channels,
               const Rectangle& part) {
  return {pixels.data() + (part.top * width + part.left) * channels,
          width * channels,
          part.height,
          part.width};
}

void scale_up(
    const PixelView& in, int channels, int64_t out_height, int64_t out_width, uint8_t* out) {
  const int type = CV_MAKETYPE(CV_8U, channels);
  const cv::Mat source(static_cast<int>(in.height),
                       static_cast<int>(in.width),
                       type,
                       const_cast<uint8_t*>(in.origin),
                       static_cast<size_t>(in.stride));
  cv::Mat target(static_cast<int>(out_height), static_cast<int>(out_width), type, out);
  cv::resize(source, target, target.size(), 0, 0, cv::INTER_LINEAR_EXACT);
}

}  // namespace

Rectangle centered_rectangle(int64_t height, int64_t width, int64_t out_height, int64_t out_width) {
  // side * numerator / denominator, halves up
  const auto scaled = [](int64_t side, int64_t numerator, int64_t denominator) {
    return std::max<int64_t>(1, (2 * side * numerator + denominator) / (2 * denominator));
  };
  Rectangle part{0, 0, height, width};
  if (width * out_height >= height * out_width)
    part.width = std::min(width, scaled(height, out_width, out_height));
  else
    part.height = std::min(height, scaled(width, out_height, out_width));
  part.top = (height - part.height) / 2;
  part.left = (width - part.width) / 2;
  return part;
}

Image crop_and_scale(const Image& photo,
                     const Rectangle& part,
                     int64_t out_height,
                     int64_t out_width) {
  Image scaled{
      out_height, out_width, std::vector<uint8_t>(static_cast<size_t>(out_height * out_width * 3))};
  const PixelView in = view(photo.pixels, photo.width, 3, part);
  if (shrinks(part, out_height, out_width))
    scale_rgb_by_area(in, out_height, out_width, scaled.pixels.data());
  else
    scale_up(in, 3, out_height, out_width, scaled.pixels.data());
  return scaled;
}

Mask crop_and_scale(const Mask& mask,
                    const Rectangle& part,
                    int64_t out_height,
                    int64_t out_width) {
  Mask scaled{
      out_height, out_width, std::vector<uint8_t>(static_cast<size_t>(out_height * out_width))};
  const PixelView in = view(mask.pixels, mask.width, 1, part);
  if (shrinks(part, out_height, out_width)) {
    scale_mask_by_area(in, out_height, out_width, scaled.pixels.data());
    return scaled;
  }
  scale_up(in, 1, out_height, out_width, scaled.pixels.data());
  for (uint8_t& value : scaled.pixels) value = value > 127 ? 255 : 0;
  return scaled;
}

Image crop_and_scale(const Image& photo, int64_t size) {
  return crop_and_scale(
      photo, centered_rectangle(photo.height, photo.width, size, size), size, size);
}

Mask crop_and_scale(const Mask& mask, int64_t size) {
  return crop_and_scale(mask, centered_rectangle(mask.height, mask.width, size, size), size, size);
}

Mask scale_mask(const Mask& mask, int64_t height, int64_t width) {
  if (mask.height == height && mask.width == width) return mask;
  const Rectangle whole{0, 0, mask.height, mask.width};
  if (shrinks(whole, height, width)) return crop_and_scale(mask, whole, height, width);
  Mask scaled{height, width, std::vector<uint8_t>(static_cast<size_t>(height * width))};
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* row = &mask.pixels[static_cast<size_t>(y * mask.height / height * mask.width)];
    for (int64_t x = 0; x < width; ++x)
      scaled.pixels[static_cast<size_t>(y * width + x)] = row[x * mask.width / width];
  }
  return scaled;
}

void block_means(const uint8_t* pixels,
                 int64_t height,
                 int64_t width,
                 int64_t channels,
                 int64_t factor,
                 float* means) {
  const int64_t out_width = width / factor;
  for (int64_t y = 0; y < height / factor; ++y)
    for (int64_t x = 0; x < out_width; ++x)
      for (int64_t c = 0; c < channels; ++c) {
        int64_t sum = 0;
        for (int64_t dy = 0; dy < factor; ++dy)
          for (int64_t dx = 0; dx < factor; ++dx)
            sum += pixels[((y * factor + dy) * width + x * factor + dx) * channels + c];
        means[(y * out_width + x) * channels + c] =
            static_cast<float>(static_cast<double>(sum) / static_cast<double>(factor * factor));
      }
}

}  // namespace limewash::data
