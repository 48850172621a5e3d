#include "data/mask_quality.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "data/mask.h"
#include "data/mask_boundary.h"
#include "data/mask_corruption.h"
#include "data/mask_regions.h"
#include "data/quality_picture.h"
#include "runtime/error.h"

namespace limewash::data {
namespace {

enum Part : size_t {
  kWallShare,
  kConnectedPieces,
  kBoundaryRoughness,
  kEdgeAgreement,
  kColorHomogeneity,
  kLeakage,
  kForeignObjects,
  kRegionAgreement,
  kSecondMaskIou,
  kClassifier,
  kParts
};

/// Exponents of the geometric mean, fitted by tests/data/quality_study.py; those that the fit
/// leaves out keep a little, so that each part can also stand alone.
constexpr std::array<double, kParts> kWeights{
    0.02, 0.02, 0.03, 0.05, 0.5, 0.06, 1.0, 1.0, 0.1, 0.3};
/// What a part counts at least, so that none of them decides alone.
constexpr double kLeastPart = 0.02;

constexpr size_t kLargestPieces = 4;
constexpr double kHueDistanceScale = 20;

float share_part(const QualityInput& input) {
  const double share = wall_share(input.mask), low = input.lowest_wall_share,
               high = input.highest_wall_share;
  const double above = low > 0 ? share / (2 * low) : 1,
               below = high < 1 ? (1 - share) / (2 * (1 - high)) : 1;
  return static_cast<float>(std::clamp(std::min(above, below), 0.0, 1.0));
}

float pieces_part(const Mask& mask) {
  const cv::Mat wall(static_cast<int>(mask.height),
                     static_cast<int>(mask.width),
                     CV_8U,
                     const_cast<uint8_t*>(mask.pixels.data()));
  cv::Mat labels, statistics, centroids;
  const int pieces =
      cv::connectedComponentsWithStats(wall, labels, statistics, centroids, 8, CV_32S);
  std::vector<int64_t> areas;
  for (int i = 1; i < pieces; ++i) areas.push_back(statistics.at<int>(i, cv::CC_STAT_AREA));
  if (areas.empty()) return 0;
  std::sort(areas.begin(), areas.end(), std::greater<>());
  const auto total = std::accumulate(areas.begin(), areas.end(), int64_t{0});
  areas.resize(std::min(areas.size(), kLargestPieces));
  const auto largest = std::accumulate(areas.begin(), areas.end(), int64_t{0});
  return static_cast<float>(static_cast<double>(largest) / static_cast<double>(total));
}

float median_of(std::vector<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

float homogeneity_part(const QualityPicture& picture) {
  std::vector<float> a, b, distances;
  for (int y = 0; y < picture.height(); ++y) {
    const auto* lab = picture.lab.ptr<cv::Vec3f>(y);
    const auto* core = picture.core.ptr<uint8_t>(y);
    for (int x = 0; x < picture.width(); ++x) {
      if (core[x] == 0) continue;
      a.push_back(lab[x][1]);
      b.push_back(lab[x][2]);
    }
  }
  if (a.empty()) return 0;
  const float middle_a = median_of(a), middle_b = median_of(b);
  for (size_t i = 0; i < a.size(); ++i)
    distances.push_back(std::hypot(a[i] - middle_a, b[i] - middle_b));
  return static_cast<float>(std::exp(-median_of(std::move(distances)) / kHueDistanceScale));
}

}  // namespace

const std::vector<std::string>& quality_part_names() {
  static const std::vector<std::string> names{"wall_share",
                                              "connected_pieces",
                                              "boundary_roughness",
                                              "edge_agreement",
                                              "color_homogeneity",
                                              "leakage",
                                              "foreign_objects",
                                              "region_agreement",
                                              "second_mask_iou",
                                              "classifier"};
  return names;
}

QualitySelection select_quality_parts(const std::vector<std::string>& names,
                                      const std::string& key) {
  const auto& known = quality_part_names();
  QualitySelection selection(known.size(), names.empty());
  for (const std::string& name : names) {
    const auto found = std::find(known.begin(), known.end(), name);
    if (found == known.end()) {
      std::string all;
      for (const std::string& one : known) all += (all.empty() ? "" : ", ") + one;
      throw ConfigError(key + ": there is no part '" + name + "'; known are " + all);
    }
    selection[static_cast<size_t>(found - known.begin())] = true;
  }
  return selection;
}

std::vector<float> quality_parts(const QualityInput& input, const QualitySelection& selection) {
  std::vector<float> parts(kParts, std::numeric_limits<float>::quiet_NaN());
  const auto wanted = [&](Part part) { return selection.at(part); };
  if (wanted(kWallShare)) parts[kWallShare] = share_part(input);
  if (wanted(kConnectedPieces)) parts[kConnectedPieces] = pieces_part(input.mask);

  const bool regions = wanted(kLeakage) || wanted(kForeignObjects) || wanted(kRegionAgreement);
  std::optional<QualityPicture> picture;
  if (regions || wanted(kBoundaryRoughness) || wanted(kEdgeAgreement) || wanted(kColorHomogeneity))
    picture.emplace(input.photo, input.mask, input.core);
  if (wanted(kBoundaryRoughness)) parts[kBoundaryRoughness] = boundary_roughness(*picture);
  if (wanted(kEdgeAgreement)) parts[kEdgeAgreement] = edge_agreement(*picture);
  if (wanted(kColorHomogeneity)) parts[kColorHomogeneity] = homogeneity_part(*picture);
  if (regions) {
    const RegionParts found = region_parts(*picture);
    if (wanted(kLeakage)) parts[kLeakage] = found.leakage;
    if (wanted(kForeignObjects)) parts[kForeignObjects] = found.foreign_objects;
    if (wanted(kRegionAgreement)) parts[kRegionAgreement] = found.region_agreement;
  }
  if (wanted(kSecondMaskIou) && input.second_mask)
    parts[kSecondMaskIou] = static_cast<float>(mask_iou(input.mask, *input.second_mask));
  if (wanted(kClassifier) && input.classifier)
    parts[kClassifier] = input.classifier(input.photo, input.mask);
  return parts;
}

float quality_of(const std::vector<float>& parts) {
  double sum = 0, weights = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (std::isnan(parts[i])) continue;
    sum += kWeights.at(i) * std::log(std::max(static_cast<double>(parts[i]), kLeastPart));
    weights += kWeights.at(i);
  }
  return weights > 0 ? static_cast<float>(std::exp(sum / weights)) : 1;
}

}  // namespace limewash::data
