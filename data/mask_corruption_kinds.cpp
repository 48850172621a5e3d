#include "data/mask_corruption_kinds.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace limewash::data {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr float kNever = 2;

int pixels(double length) {
  return std::max(1, static_cast<int>(std::lround(length)));
}

/// Distance to the wall outside of it, minus the distance to its edge inside: about 0 at the edge.
cv::Mat signed_distance(const cv::Mat& mask) {
  cv::Mat inside, outside, inverted = ~mask;
  cv::distanceTransform(mask, inside, cv::DIST_L2, cv::DIST_MASK_5);
  cv::distanceTransform(inverted, outside, cv::DIST_L2, cv::DIST_MASK_5);
  // A picture of one kind of pixel has no edge to measure from.
  const float farthest = static_cast<float>(mask.rows + mask.cols);
  cv::min(inside, farthest, inside);
  cv::min(outside, farthest, outside);
  return outside - inside;
}

/// Pixels change sides one after the other: each where `arrival`, in [0, 1], is at most the
/// strength.
Corruptor by_arrival(const cv::Mat& mask, cv::Mat arrival, int operation) {
  return [mask, arrival = std::move(arrival), operation](double strength) {
    cv::Mat arrived, result;
    if (strength <= 0) return mask.clone();
    cv::compare(arrival, strength, arrived, cv::CMP_LE);
    if (operation == '|') cv::bitwise_or(mask, arrived, result);
    if (operation == '&') cv::bitwise_and(mask, ~arrived, result);
    if (operation == '^') cv::bitwise_xor(mask, arrived, result);
    return result;
  };
}

/// Noise of deviation about 1 whose waves are `wavelength` pixels long.
cv::Mat smooth_noise(const cv::Size& size, double wavelength, RandomStream& stream) {
  cv::Mat grid(pixels(size.height / wavelength) + 3, pixels(size.width / wavelength) + 3, CV_32F);
  for (int y = 0; y < grid.rows; ++y)
    for (int x = 0; x < grid.cols; ++x) grid.at<float>(y, x) = stream.normal();
  cv::Mat noise;
  cv::resize(grid, noise, size, 0, 0, cv::INTER_CUBIC);
  return noise;
}

Corruptor noisy_boundary(const CorruptionInput& input,
                         double wavelength,
                         double amplitude,
                         RandomStream stream) {
  const cv::Mat distance = signed_distance(input.mask);
  const cv::Mat noise = smooth_noise(input.mask.size(), std::max(1.0, wavelength), stream);
  return [mask = input.mask, distance, noise, amplitude](double strength) {
    if (strength <= 0) return mask.clone();
    cv::Mat moved = distance + noise * (amplitude * strength), result;
    cv::compare(moved, 0, result, cv::CMP_LT);
    return result;
  };
}

/// Every pixel arrives with the first of the shapes that covers it.
template <class Draw>
cv::Mat arrival_of_shapes(const cv::Size& size, int count, const Draw& draw) {
  cv::Mat arrival(size, CV_32F, cv::Scalar(kNever));
  // The last first, so that earlier shapes lie on top.
  std::vector<RandomStream> streams;
  RandomStream stream = draw.stream;
  for (int i = 0; i < count; ++i) {
    streams.push_back(stream);
    for (int skipped = 0; skipped < 8; ++skipped) stream.next_u32();
  }
  for (int i = count - 1; i >= 0; --i)
    draw.shape(arrival, streams[static_cast<size_t>(i)], static_cast<double>(i + 1) / count);
  return arrival;
}

cv::Point random_point(const cv::Size& size, RandomStream& stream) {
  return {static_cast<int>(stream.below(static_cast<uint64_t>(size.width))),
          static_cast<int>(stream.below(static_cast<uint64_t>(size.height)))};
}

/// Filled ellipses, or ellipses and boxes, of `low` to `high` of the picture's side.
struct Blobs {
  RandomStream stream;
  double side, low, high;
  bool boxes;
  void shape(cv::Mat& arrival, RandomStream draws, double time) const {
    const cv::Point center = random_point(arrival.size(), draws);
    const auto length = [&] {
      return pixels(side * draws.uniform(static_cast<float>(low), static_cast<float>(high)));
    };
    const cv::Size axes{length(), length()};
    const double angle = draws.uniform(0, 180);
    if (boxes && draws.uniform() < 0.5f)
      cv::rectangle(arrival, {center - cv::Point(axes), center + cv::Point(axes)}, time, -1);
    else
      cv::ellipse(arrival, center, axes, angle, 0, 360, time, -1);
  }
};

/// Straight scratches, 1 to 3 pixels of a picture of 128 wide.
struct Scratches {
  RandomStream stream;
  double side;
  void shape(cv::Mat& arrival, RandomStream draws, double time) const {
    const cv::Point from = random_point(arrival.size(), draws);
    const double angle = draws.uniform(0, static_cast<float>(kPi)),
                 length = side * draws.uniform(0.05f, 0.35f);
    const cv::Point to(from.x + static_cast<int>(length * std::cos(angle)),
                       from.y + static_cast<int>(length * std::sin(angle)));
    cv::line(arrival, from, to, time, pixels(side / 128 * draws.uniform(1, 3.5f)));
  }
};

Corruptor shifted(const CorruptionInput& input, RandomStream stream) {
  const double angle = stream.uniform(0, static_cast<float>(2 * kPi));
  return [input, angle](double strength) {
    const double length = strength * 0.5 * input.side;
    const cv::Mat move =
        (cv::Mat_<double>(2, 3) << 1, 0, length * std::cos(angle), 0, 1, length * std::sin(angle));
    cv::Mat result;
    cv::warpAffine(
        input.mask, result, move, input.mask.size(), cv::INTER_NEAREST, cv::BORDER_REPLICATE);
    return result;
  };
}

Corruptor rotated_scaled(const CorruptionInput& input, RandomStream stream) {
  const double turn = (stream.uniform() < 0.5f ? -1 : 1) * stream.uniform(10, 45),
               growth = stream.uniform(-0.8f, 0.8f);
  return [input, turn, growth](double strength) {
    const cv::Point2f center(static_cast<float>(input.mask.cols - 1) / 2,
                             static_cast<float>(input.mask.rows - 1) / 2);
    const cv::Mat move =
        cv::getRotationMatrix2D(center, turn * strength, std::exp(growth * strength));
    cv::Mat result;
    cv::warpAffine(
        input.mask, result, move, input.mask.size(), cv::INTER_NEAREST, cv::BORDER_REPLICATE);
    return result;
  };
}

Corruptor low_resolution(const CorruptionInput& input) {
  return [input](double strength) {
    const double block = std::exp(strength * std::log(input.side / 2.5));
    const cv::Size size(pixels(input.mask.cols / block), pixels(input.mask.rows / block));
    cv::Mat small, result;
    cv::resize(input.mask, small, size, 0, 0, cv::INTER_AREA);
    cv::resize(small > 127, result, input.mask.size(), 0, 0, cv::INTER_NEAREST);
    return result;
  };
}

/// The order in which a straight front that crosses the wall takes its pixels away.
Corruptor missing_region(const CorruptionInput& input, RandomStream stream) {
  const double angle = stream.uniform(0, static_cast<float>(2 * kPi));
  cv::Mat along(input.mask.size(), CV_32F);
  double first = INFINITY, last = -INFINITY;
  for (int y = 0; y < along.rows; ++y)
    for (int x = 0; x < along.cols; ++x) {
      const double at = x * std::cos(angle) + y * std::sin(angle);
      along.at<float>(y, x) = static_cast<float>(at);
      if (input.mask.at<uint8_t>(y, x) == 0) continue;
      first = std::min(first, at);
      last = std::max(last, at);
    }
  if (last > first) along = (along - first) / (last - first);
  return by_arrival(input.mask, along, '&');
}

/// Below or above the wall's own end in each column, from there on.
Corruptor surface_included(const CorruptionInput& input, RandomStream stream) {
  const bool floor = stream.uniform() < 0.6f;
  cv::Mat arrival(input.mask.size(), CV_32F, cv::Scalar(kNever));
  const int rows = arrival.rows;
  for (int x = 0; x < arrival.cols; ++x) {
    int end = -1;
    for (int i = 0; i < rows && end < 0; ++i) {
      const int y = floor ? rows - 1 - i : i;
      if (input.mask.at<uint8_t>(y, x) != 0) end = y;
    }
    if (end < 0) continue;
    for (int y = end; y >= 0 && y < rows; y += floor ? 1 : -1)
      arrival.at<float>(y, x) = static_cast<float>(std::abs(y - end)) / static_cast<float>(rows);
  }
  return by_arrival(input.mask, arrival, '|');
}

/// Regions of one colour outside of the wall, flooded from random points, one after the other.
Corruptor objects_included(const CorruptionInput& input, RandomStream stream) {
  constexpr int kTries = 60;
  cv::Mat smooth, arrival(input.mask.size(), CV_32F, cv::Scalar(kNever));
  cv::GaussianBlur(input.photo, smooth, {3, 3}, 0);
  cv::Mat flooded(input.mask.rows + 2, input.mask.cols + 2, CV_8U);
  const cv::Rect within(1, 1, input.mask.cols, input.mask.rows);
  for (int i = 0; i < kTries; ++i) {
    const cv::Point seed = random_point(input.mask.size(), stream);
    const double tolerance = stream.uniform(10, 30);
    if (input.mask.at<uint8_t>(seed) != 0 || arrival.at<float>(seed) < kNever) continue;
    // What is set beforehand stops the flood: the wall itself.
    flooded.setTo(1);
    input.mask.copyTo(flooded(within));
    const int area =
        cv::floodFill(smooth,
                      flooded,
                      seed,
                      {},
                      nullptr,
                      cv::Scalar::all(tolerance),
                      cv::Scalar::all(tolerance),
                      4 | cv::FLOODFILL_FIXED_RANGE | cv::FLOODFILL_MASK_ONLY | (2 << 8));
    if (area < input.side * input.side * 0.002) continue;
    const double time = static_cast<double>(i + 1) / kTries;
    cv::Mat region = flooded(within) == 2;
    // Close the speckle that noise leaves.
    cv::morphologyEx(region, region, cv::MORPH_CLOSE, cv::Mat::ones(3, 3, CV_8U));
    arrival.setTo(time, region & (arrival >= kNever) & (input.mask == 0));
  }
  return by_arrival(input.mask, arrival, '|');
}

Corruptor over_smoothed(const CorruptionInput& input) {
  return [input](double strength) {
    if (strength <= 0) return input.mask.clone();
    cv::Mat soft;
    cv::GaussianBlur(
        input.mask, soft, {0, 0}, 0.5 + strength * 0.2 * input.side, 0, cv::BORDER_REPLICATE);
    return cv::Mat(soft > 127);
  };
}

Corruptor polygon(const CorruptionInput& input) {
  std::vector<std::vector<cv::Point>> outlines;
  cv::findContours(input.mask.clone(), outlines, cv::RETR_EXTERNAL, cv::CHAIN_APPROX_NONE);
  return [input, outlines](double strength) {
    if (strength <= 0) return input.mask.clone();
    std::vector<std::vector<cv::Point>> coarse;
    for (const auto& outline : outlines) {
      std::vector<cv::Point> corners;
      cv::approxPolyDP(outline, corners, strength * 0.25 * input.side, true);
      if (corners.size() > 2) coarse.push_back(std::move(corners));
    }
    cv::Mat result = cv::Mat::zeros(input.mask.size(), CV_8U);
    if (!coarse.empty()) cv::fillPoly(result, coarse, 255);
    return result;
  };
}

Corruptor mixed(const CorruptionInput& input, RandomStream stream) {
  const auto part = [&](uint64_t number) {
    return RandomStream(stream.next_u64(), Purpose::kCorruption, number, 0);
  };
  const Corruptor objects = objects_included(input, part(1)),
                  wavy = noisy_boundary(input, input.side / 8, 0.06 * input.side, part(2)),
                  ragged = noisy_boundary(input, 2, 0.03 * input.side, part(3));
  return [input, objects, wavy, ragged](double strength) {
    // What both noises agree on, and the objects.
    const double half = strength / 2;
    return cv::Mat((wavy(strength) & ragged(half)) | (objects(half) & ~input.mask));
  };
}

}  // namespace

Corruptor make_corruptor(Corruption kind, const CorruptionInput& input, RandomStream stream) {
  const cv::Mat& mask = input.mask;
  const double side = input.side;
  switch (kind) {
    case Corruption::kNone:
      break;
    case Corruption::kDilation:
      return by_arrival(mask, signed_distance(mask) / (0.3 * side), '|');
    case Corruption::kErosion:
      return by_arrival(mask, -signed_distance(mask) / (0.2 * side), '&');
    case Corruption::kWavyBoundary: {
      const double wavelength = side / stream.uniform(5, 14);
      return noisy_boundary(input, wavelength, 0.3 * side, stream);
    }
    case Corruption::kRaggedBoundary: {
      const double wavelength = side / 128 * stream.uniform(1.5f, 4);
      return noisy_boundary(input, wavelength, 0.2 * side, stream);
    }
    case Corruption::kShift:
      return shifted(input, stream);
    case Corruption::kLowResolution:
      return low_resolution(input);
    case Corruption::kMissingPieces: {
      const Blobs blobs{stream, side, 0.04, 0.2, true};
      return by_arrival(mask, arrival_of_shapes(mask.size(), 48, blobs), '&');
    }
    case Corruption::kMissingRegion:
      return missing_region(input, stream);
    case Corruption::kObjectIncluded:
      return objects_included(input, stream);
    case Corruption::kSurfaceIncluded:
      return surface_included(input, stream);
    case Corruption::kHoles: {
      const Blobs blobs{stream, side, 0.005, 0.03, false};
      return by_arrival(mask, arrival_of_shapes(mask.size(), 800, blobs), '&');
    }
    case Corruption::kSplinters:
      return by_arrival(mask, arrival_of_shapes(mask.size(), 500, Scratches{stream, side}), '^');
    case Corruption::kOverSmoothing:
      return over_smoothed(input);
    case Corruption::kPolygon:
      return polygon(input);
    case Corruption::kRotatedScaled:
      return rotated_scaled(input, stream);
    case Corruption::kMixed:
      return mixed(input, stream);
  }
  return [mask](double) { return mask.clone(); };
}

}  // namespace limewash::data
