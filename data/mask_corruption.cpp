#include "data/mask_corruption.h"

#include <array>
#include <cmath>
#include <stdexcept>

#include <opencv2/core.hpp>

#include "data/mask_corruption_kinds.h"

namespace limewash::data {
namespace {

constexpr float kLowestIou = 0.3f;
/// Below, nothing is left that a mask of this wall could be.
constexpr double kWorstIou = 0.2;
constexpr int kBisections = 10;

cv::Mat view(const Mask& mask) {
  return {static_cast<int>(mask.height),
          static_cast<int>(mask.width),
          CV_8U,
          const_cast<uint8_t*>(mask.pixels.data())};
}

Mask mask_of(const cv::Mat& picture) {
  Mask mask{picture.rows, picture.cols, {}};
  for (int y = 0; y < picture.rows; ++y)
    mask.pixels.insert(mask.pixels.end(), picture.ptr<uint8_t>(y), picture.ptr<uint8_t>(y + 1));
  return mask;
}

}  // namespace

const std::string& corruption_name(Corruption kind) {
  static const std::array<std::string, kCorruptions> names{"none",
                                                           "dilation",
                                                           "erosion",
                                                           "wavy_boundary",
                                                           "ragged_boundary",
                                                           "shift",
                                                           "low_resolution",
                                                           "missing_pieces",
                                                           "missing_region",
                                                           "object_included",
                                                           "surface_included",
                                                           "holes",
                                                           "splinters",
                                                           "over_smoothing",
                                                           "polygon",
                                                           "rotated_scaled",
                                                           "mixed"};
  return names.at(static_cast<size_t>(kind));
}

double mask_iou(const Mask& left, const Mask& right) {
  if (left.height != right.height || left.width != right.width)
    throw std::invalid_argument("mask_iou: the masks differ in size");
  int64_t both = 0, any = 0;
  for (size_t i = 0; i < left.pixels.size(); ++i) {
    const bool in_left = left.pixels[i] != 0, in_right = right.pixels[i] != 0;
    both += in_left && in_right;
    any += in_left || in_right;
  }
  return any == 0 ? 1 : static_cast<double>(both) / static_cast<double>(any);
}

CorruptedMask corrupt_mask(
    const Image& photo, const Mask& mask, Corruption kind, double wanted_iou, RandomStream stream) {
  if (photo.height != mask.height || photo.width != mask.width)
    throw std::invalid_argument("corrupt_mask: photo and mask must be of one size");
  CorruptedMask best{mask, kind, 1};
  if (kind == Corruption::kNone || mask.pixels.empty()) return best;
  const CorruptionInput input{cv::Mat(static_cast<int>(photo.height),
                                      static_cast<int>(photo.width),
                                      CV_8UC3,
                                      const_cast<uint8_t*>(photo.pixels.data())),
                              view(mask),
                              std::sqrt(static_cast<double>(mask.pixels.size()))};
  const Corruptor corrupt = make_corruptor(kind, input, stream);
  double low = 0, high = 1;
  for (int i = 0; i < kBisections; ++i) {
    // The greatest strength first: where even that is not too much, there is nothing to search for.
    const double strength = i == 0 ? 1 : (low + high) / 2;
    Mask candidate = mask_of(corrupt(strength));
    const double iou = mask_iou(candidate, mask);
    if (iou >= kWorstIou && std::abs(iou - wanted_iou) < std::abs(best.iou - wanted_iou))
      best = {std::move(candidate), kind, iou};
    if (iou >= wanted_iou && i == 0) break;
    (iou < wanted_iou ? high : low) = strength;
  }
  return best;
}

CorruptedMask corrupt_mask(
    const Image& photo, const Mask& mask, uint64_t seed, uint64_t k, uint64_t sample_id) {
  RandomStream stream(seed, Purpose::kCorruption, k, sample_id);
  const auto kind = static_cast<Corruption>(stream.below(kCorruptions));
  const double wanted_iou = stream.uniform(kLowestIou, 1);
  return corrupt_mask(photo, mask, kind, wanted_iou, stream);
}

}  // namespace limewash::data
