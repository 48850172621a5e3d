#include "data/crop_scale.h"

#include <algorithm>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace limewash::data {
namespace {

/// A rectangle of a picture in memory.
struct View {
  const uint8_t* origin;
  int64_t stride;  ///< bytes from row to row
  int64_t height, width, channels;
};

View centered_square(const uint8_t* pixels, int64_t height, int64_t width, int64_t channels) {
  const int64_t side = std::min(height, width);
  const int64_t top = (height - side) / 2, left = (width - side) / 2;
  return {pixels + (top * width + left) * channels, width * channels, side, side, channels};
}

/// For each output pixel the area sum over its source pixels. Overlaps are measured in units of
/// 1/out of a source pixel, so that all arithmetic is in integers: a sum is value * in_height *
/// in_width.
template <class Store>
void area_sums(const View& in, int64_t out_height, int64_t out_width, const Store& store) {
  const int64_t row_values = in.width * in.channels;
  std::vector<uint32_t> column_sums(static_cast<size_t>(row_values));
  for (int64_t y = 0; y < out_height; ++y) {
    std::fill(column_sums.begin(), column_sums.end(), 0u);
    const int64_t top = y * in.height, bottom = top + in.height;
    for (int64_t source = top / out_height; source * out_height < bottom; ++source) {
      const auto weight = static_cast<uint32_t>(std::min(bottom, (source + 1) * out_height) -
                                                std::max(top, source * out_height));
      const uint8_t* row = in.origin + source * in.stride;
      for (int64_t i = 0; i < row_values; ++i) column_sums[i] += weight * row[i];
    }
    for (int64_t x = 0; x < out_width; ++x) {
      const int64_t left = x * in.width, right = left + in.width;
      uint64_t sums[3] = {0, 0, 0};
      for (int64_t source = left / out_width; source * out_width < right; ++source) {
        const auto weight = static_cast<uint64_t>(std::min(right, (source + 1) * out_width) -
                                                  std::max(left, source * out_width));
        const uint32_t* values = &column_sums[source * in.channels];
        for (int64_t c = 0; c < in.channels; ++c) sums[c] += weight * values[c];
      }
      for (int64_t c = 0; c < in.channels; ++c)
        store((y * out_width + x) * in.channels + c, sums[c]);
    }
  }
}

std::vector<uint8_t> scale_by_area(const View& in, int64_t out_height, int64_t out_width) {
  std::vector<uint8_t> out(static_cast<size_t>(out_height * out_width * in.channels));
  const auto whole = static_cast<uint64_t>(in.height * in.width);
  const double reciprocal = 1.0 / static_cast<double>(whole);
  area_sums(in, out_height, out_width, [&](int64_t place, uint64_t sum) {
    const uint64_t numerator = sum + whole / 2;
    auto quotient = static_cast<uint64_t>(static_cast<double>(numerator) * reciprocal);
    // The product may be off by one beside an integer; the quotient must not be.
    if (quotient * whole > numerator) --quotient;
    if ((quotient + 1) * whole <= numerator) ++quotient;
    out[static_cast<size_t>(place)] = static_cast<uint8_t>(quotient);
  });
  return out;
}

std::vector<uint8_t> scale_mask_by_area(const View& in, int64_t out_height, int64_t out_width) {
  std::vector<uint8_t> out(static_cast<size_t>(out_height * out_width));
  const auto whole = static_cast<uint64_t>(in.height * in.width) * 255;
  area_sums(in, out_height, out_width, [&](int64_t place, uint64_t sum) {
    out[static_cast<size_t>(place)] = 2 * sum > whole ? 255 : 0;
  });
  return out;
}

std::vector<uint8_t> scale_up(const View& in, int64_t size) {
  const int type = CV_MAKETYPE(CV_8U, static_cast<int>(in.channels));
  const cv::Mat source(static_cast<int>(in.height),
                       static_cast<int>(in.width),
                       type,
                       const_cast<uint8_t*>(in.origin),
                       static_cast<size_t>(in.stride));
  std::vector<uint8_t> out(static_cast<size_t>(size * size * in.channels));
  cv::Mat target(static_cast<int>(size), static_cast<int>(size), type, out.data());
  cv::resize(source, target, target.size(), 0, 0, cv::INTER_LINEAR_EXACT);
  return out;
}

}  // namespace

Image crop_and_scale(const Image& photo, int64_t size) {
  const View square = centered_square(photo.pixels.data(), photo.height, photo.width, 3);
  if (square.height < size) return {size, size, scale_up(square, size)};
  return {size, size, scale_by_area(square, size, size)};
}

Mask crop_and_scale(const Mask& mask, int64_t size) {
  const View square = centered_square(mask.pixels.data(), mask.height, mask.width, 1);
  if (square.height >= size) return {size, size, scale_mask_by_area(square, size, size)};
  Mask scaled{size, size, scale_up(square, size)};
  for (uint8_t& value : scaled.pixels) value = value > 127 ? 255 : 0;
  return scaled;
}

Mask scale_mask(const Mask& mask, int64_t height, int64_t width) {
  if (mask.height == height && mask.width == width) return mask;
  const View whole{mask.pixels.data(), mask.width, mask.height, mask.width, 1};
  if (mask.height >= height && mask.width >= width)
    return {height, width, scale_mask_by_area(whole, height, width)};
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
