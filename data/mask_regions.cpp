#include "data/mask_regions.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include <opencv2/core.hpp>

namespace limewash::data {
namespace {

/// Of the paper's k, in Lab differences times pixels of a picture of kReferenceArea.
constexpr double kScale = 60, kReferenceArea = 128.0 * 128;
/// Lab differences that no eye sees, and that 8 bits make of smooth light, part nothing.
constexpr float kInvisible = 0.7f;
constexpr double kSmallestShare = 0.001;
constexpr float kStepsPerUnit = 8;
constexpr size_t kSteps = 1024;
constexpr double kChromaScale = 12, kLightnessScale = 30;

struct Edge {
  int32_t from, to;
};

/// Edges of the grid of pixels, sorted by their Lab difference in steps of 1 / kStepsPerUnit;
/// larger differences than the last step count as that.
struct SortedEdges {
  std::vector<Edge> edges;
  std::vector<uint16_t> steps;
};

SortedEdges sorted_edges(const cv::Mat& lab) {
  const int height = lab.rows, width = lab.cols;
  std::vector<Edge> edges;
  std::vector<uint16_t> steps;
  const size_t most = 2 * lab.total();
  edges.reserve(most);
  steps.reserve(most);
  std::array<int32_t, kSteps + 1> starts{};
  const auto add = [&](int32_t from, int32_t to, const cv::Vec3f& difference) {
    const float length = std::sqrt(difference.dot(difference));
    const auto step =
        static_cast<uint16_t>(std::min(length * kStepsPerUnit, static_cast<float>(kSteps - 1)));
    edges.push_back({from, to});
    steps.push_back(step);
    ++starts[step + 1];
  };
  for (int y = 0; y < height; ++y) {
    const auto* row = lab.ptr<cv::Vec3f>(y);
    const auto* below = y + 1 < height ? lab.ptr<cv::Vec3f>(y + 1) : nullptr;
    for (int x = 0; x < width; ++x) {
      const int32_t pixel = y * width + x;
      if (x + 1 < width) add(pixel, pixel + 1, row[x + 1] - row[x]);
      if (below) add(pixel, pixel + width, below[x] - row[x]);
    }
  }
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  SortedEdges sorted{std::vector<Edge>(edges.size()), std::vector<uint16_t>(edges.size())};
  for (size_t i = 0; i < edges.size(); ++i) {
    const auto place = static_cast<size_t>(starts[steps[i]]++);
    sorted.edges[place] = edges[i];
    sorted.steps[place] = steps[i];
  }
  return sorted;
}

/// Disjoint sets of pixels with their sizes and the largest difference inside.
class Forest {
 public:
  explicit Forest(size_t pixels) : parents_(pixels), sizes_(pixels, 1), inner_(pixels, 0) {
    std::iota(parents_.begin(), parents_.end(), 0);
  }
  int32_t root(int32_t pixel) {
    while (parents_[at(pixel)] != pixel) {
      parents_[at(pixel)] = parents_[at(parents_[at(pixel)])];
      pixel = parents_[at(pixel)];
    }
    return pixel;
  }
  /// Of roots.
  void join(int32_t left, int32_t right, float difference) {
    if (sizes_[at(left)] < sizes_[at(right)]) std::swap(left, right);
    parents_[at(right)] = left;
    sizes_[at(left)] += sizes_[at(right)];
    inner_[at(left)] = difference;
  }
  int32_t size(int32_t root) const {
    return sizes_[at(root)];
  }
  float inner(int32_t root) const {
    return inner_[at(root)];
  }

 private:
  static size_t at(int32_t index) {
    return static_cast<size_t>(index);
  }
  std::vector<int32_t> parents_, sizes_;
  std::vector<float> inner_;
};

struct Region {
  double pixels = 0, inside = 0;
  cv::Vec3d lab{};
  std::array<float, 2> chroma{};
};

std::vector<Region> measure_regions(const QualityPicture& picture, const Segmentation& segmented) {
  std::vector<Region> regions(static_cast<size_t>(segmented.count));
  for (int y = 0; y < picture.height(); ++y) {
    const auto* labels = segmented.labels.ptr<int32_t>(y);
    const auto* lab = picture.lab.ptr<cv::Vec3f>(y);
    const auto* mask = picture.mask.ptr<uint8_t>(y);
    for (int x = 0; x < picture.width(); ++x) {
      Region& region = regions[static_cast<size_t>(labels[x])];
      ++region.pixels;
      if (mask[x] != 0) ++region.inside;
      region.lab += cv::Vec3d(lab[x]);
    }
  }
  for (Region& region : regions) {
    region.lab /= region.pixels;
    region.chroma = chroma_without_light(cv::Vec3f(region.lab));
  }
  return regions;
}

double likeness(const Region& left, const Region& right) {
  const double a = (left.chroma[0] - right.chroma[0]) / kChromaScale,
               b = (left.chroma[1] - right.chroma[1]) / kChromaScale,
               l = (left.lab[0] - right.lab[0]) / kLightnessScale;
  return std::exp(-a * a - b * b - l * l);
}

/// The region that most of the mask is like.
const Region& wall_region(const std::vector<Region>& regions) {
  const Region* best = &regions.front();
  double most = -1;
  for (const Region& candidate : regions) {
    if (candidate.inside == 0) continue;
    double support = 0;
    for (const Region& other : regions)
      if (other.inside > 0) support += other.inside * likeness(candidate, other);
    if (support <= most) continue;
    most = support;
    best = &candidate;
  }
  return *best;
}

}  // namespace

Segmentation segment(const cv::Mat& lab) {
  const SortedEdges sorted = sorted_edges(lab);
  Forest forest(lab.total());
  const double area = static_cast<double>(lab.total());
  const auto scale = static_cast<float>(kScale * std::sqrt(area / kReferenceArea));
  const auto threshold = [&](int32_t root) {
    return std::max(forest.inner(root), kInvisible) + scale / static_cast<float>(forest.size(root));
  };
  for (size_t i = 0; i < sorted.edges.size(); ++i) {
    const int32_t left = forest.root(sorted.edges[i].from), right = forest.root(sorted.edges[i].to);
    const float difference = static_cast<float>(sorted.steps[i]) / kStepsPerUnit;
    if (left != right && difference <= std::min(threshold(left), threshold(right)))
      forest.join(left, right, difference);
  }
  const auto smallest = static_cast<int32_t>(kSmallestShare * area);
  for (const Edge& edge : sorted.edges) {
    const int32_t left = forest.root(edge.from), right = forest.root(edge.to);
    if (left != right && std::min(forest.size(left), forest.size(right)) < smallest)
      forest.join(left, right, 0);
  }
  Segmentation segmentation;
  segmentation.labels.create(lab.size(), CV_32S);
  std::vector<int32_t> label_of(lab.total(), -1);
  auto* labels = segmentation.labels.ptr<int32_t>();
  for (size_t i = 0; i < label_of.size(); ++i) {
    int32_t& label = label_of[static_cast<size_t>(forest.root(static_cast<int32_t>(i)))];
    if (label < 0) label = segmentation.count++;
    labels[i] = label;
  }
  return segmentation;
}

RegionParts region_parts(const QualityPicture& picture) {
  const double area = cv::countNonZero(picture.mask);
  if (area == 0) return {};
  const std::vector<Region> regions = measure_regions(picture, segment(picture.lab));
  const Region& wall = wall_region(regions);
  double missed = 0, like = 0, both = 0, whole = 0;
  for (const Region& region : regions) {
    const double similar = likeness(region, wall);
    missed += (region.pixels - region.inside) * similar;
    like += region.inside * similar;
    if (2 * region.inside <= region.pixels) continue;
    both += region.inside;
    whole += region.pixels;
  }
  return {static_cast<float>(area / (area + missed)),
          static_cast<float>(like / area),
          static_cast<float>(both / (area + whole - both))};
}

}  // namespace limewash::data
