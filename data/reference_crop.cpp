#include "data/reference_crop.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "data/reference.h"
#include "data/wall_color.h"

namespace limewash::data {
namespace {

constexpr int64_t kSmallestSide = 8;

/// OpenCV's view of a picture, which it only reads.
cv::Mat view(const Image& image) {
  return {static_cast<int>(image.height),
          static_cast<int>(image.width),
          CV_8UC3,
          const_cast<uint8_t*>(image.pixels.data())};
}

Image from_matrix(const cv::Mat& matrix) {
  Image image{matrix.rows, matrix.cols, {}};
  const cv::Mat whole = matrix.isContinuous() ? matrix : matrix.clone();
  image.pixels.assign(whole.data, whole.data + whole.total() * 3);
  return image;
}

/// By area when it shrinks, bilinearly when it grows.
cv::Mat scale(const cv::Mat& from, int64_t size, bool is_mask = false) {
  cv::Mat to;
  const cv::Size sizes(static_cast<int>(size), static_cast<int>(size));
  const int way = is_mask                   ? cv::INTER_NEAREST
                  : from.cols > sizes.width ? cv::INTER_AREA
                                            : cv::INTER_LINEAR;
  cv::resize(from, to, sizes, 0, 0, way);
  return to;
}

/// For each pixel the side of the largest square of core whose lower right corner it is.
std::vector<int32_t> square_sides(const Mask& core) {
  std::vector<int32_t> sides(core.pixels.size());
  for (int64_t y = 0; y < core.height; ++y)
    for (int64_t x = 0; x < core.width; ++x) {
      const auto at = static_cast<size_t>(y * core.width + x);
      if (core.pixels[at] == 0) continue;
      if (y == 0 || x == 0) {
        sides[at] = 1;
        continue;
      }
      const auto above = at - static_cast<size_t>(core.width);
      sides[at] = 1 + std::min({sides[at - 1], sides[above], sides[above - 1]});
    }
  return sides;
}

/// The rectangle of `photo` around a square of its core, scaled, in the colour asked for.
Image cut(const Image& photo,
          const Mask& core,
          const Square& square,
          int64_t rim,
          const Rgb& color,
          int64_t size) {
  const auto top = std::max<int64_t>(square.top - rim, 0);
  const auto left = std::max<int64_t>(square.left - rim, 0);
  const auto bottom = std::min(square.top + square.side + rim, photo.height);
  const auto right = std::min(square.left + square.side + rim, photo.width);
  const cv::Rect rectangle(static_cast<int>(left),
                           static_cast<int>(top),
                           static_cast<int>(right - left),
                           static_cast<int>(bottom - top));
  const Image piece = from_matrix(scale(view(photo)(rectangle), size));
  const cv::Mat wall(static_cast<int>(core.height),
                     static_cast<int>(core.width),
                     CV_8U,
                     const_cast<uint8_t*>(core.pixels.data()));
  const cv::Mat wall_piece = scale(wall(rectangle), size, true);
  const Mask piece_core{size, size, {wall_piece.datastart, wall_piece.dataend}};
  const auto median = median_color(piece, piece_core);
  return median ? recolor(piece, piece_core, *median, color) : piece;
}

cv::Mat warp(const cv::Mat& from, const cv::Mat& affine) {
  cv::Mat to;
  cv::warpAffine(from, to, affine, from.size(), cv::INTER_LINEAR, cv::BORDER_REFLECT_101);
  return to;
}

}  // namespace

std::optional<Square> draw_square_in(const Mask& core, RandomStream& stream) {
  const std::vector<int32_t> sides = square_sides(core);
  const int64_t largest = sides.empty() ? 0 : *std::max_element(sides.begin(), sides.end());
  if (largest < kSmallestSide) return std::nullopt;
  const auto shortest =
      std::max(kSmallestSide, static_cast<int64_t>(std::ceil(0.4 * static_cast<double>(largest))));
  const auto side =
      shortest + static_cast<int64_t>(stream.below(static_cast<uint64_t>(largest - shortest + 1)));
  const auto fits = [side](int32_t value) { return value >= side; };
  auto left_over = static_cast<int64_t>(
      stream.below(static_cast<uint64_t>(std::count_if(sides.begin(), sides.end(), fits))));
  for (size_t at = 0; at < sides.size(); ++at) {
    if (!fits(sides[at]) || left_over-- > 0) continue;
    const auto y = static_cast<int64_t>(at) / core.width, x = static_cast<int64_t>(at) % core.width;
    return Square{y - side + 1, x - side + 1, side};
  }
  throw std::logic_error("draw_square_in: the places that were counted are gone");
}

Image distort_exemplar(const Image& square, RandomStream& stream) {
  // All draws are made, whatever is done with them, so that none depends on another.
  const bool flip = stream.uniform() < 0.5f, turn = stream.uniform() < 0.5f,
             blur = stream.uniform() < 0.3f, shear = stream.uniform() < 0.3f;
  const float degrees = stream.uniform(-20, 20);
  const int box = 3 + 2 * static_cast<int>(stream.below(3));
  const auto side = static_cast<float>(square.width);
  const float middle = 0.5f * (side - 1), third = side / 3, reach = side * 50 / 224;
  const cv::Point2f corners[3] = {{middle + third, middle + third},
                                  {middle + third, middle - third},
                                  {middle - third, middle - third}};
  cv::Point2f moved[3];
  for (size_t i = 0; i < 3; ++i) {
    moved[i].x = corners[i].x + stream.uniform(-reach, reach);
    moved[i].y = corners[i].y + stream.uniform(-reach, reach);
  }

  cv::Mat picture = view(square).clone();
  if (flip) cv::flip(picture, picture, 1);
  if (turn) picture = warp(picture, cv::getRotationMatrix2D({middle, middle}, degrees, 1));
  if (blur) {
    cv::Mat blurred;
    cv::blur(picture, blurred, {box, box}, {-1, -1}, cv::BORDER_REFLECT_101);
    picture = blurred;
  }
  if (shear) picture = warp(picture, cv::getAffineTransform(corners, moved));
  return from_matrix(picture);
}

std::optional<Image> cut_wall(
    const Image& photo, const Mask& core, const Rgb& color, int64_t size, RandomStream& stream) {
  const auto square = draw_square_in(core, stream);
  if (!square) return std::nullopt;
  return cut(photo, core, *square, 0, color, size);
}

std::optional<Image> cut_exemplar(
    const Image& photo, const Mask& core, const Rgb& color, int64_t size, RandomStream& stream) {
  const auto square = draw_square_in(core, stream);
  if (!square) return std::nullopt;
  const int64_t rim = std::min(photo.height, photo.width) * 10 / 512;
  return distort_exemplar(cut(photo, core, *square, rim, color, size), stream);
}

}  // namespace limewash::data
