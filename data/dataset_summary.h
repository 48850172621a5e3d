#pragma once
// What a dataset holds, in figures: samples by side and size, and how wall shares and mask quality
// are distributed.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "data/dataset_index.h"

namespace limewash::data {

/// The values of one figure over all samples.
class Distribution {
 public:
  explicit Distribution(std::string name) : name_(std::move(name)) {}
  /// A value that is not finite counts as missing.
  void add(float value);

  const std::string& name() const {
    return name_;
  }
  int64_t missing() const {
    return missing_;
  }
  const std::vector<float>& values() const {
    return values_;
  }
  double mean() const;
  /// Interpolated linearly between the sorted values; `share` is 0-1. NaN without values.
  double quantile(double share) const;

 private:
  std::string name_;
  mutable std::vector<float> values_;  ///< sorted when asked
  mutable bool sorted_ = false;
  int64_t missing_ = 0;
};

class DatasetSummary {
 public:
  /// `part_names`: of the quality parts.
  explicit DatasetSummary(const std::vector<std::string>& part_names = {});

  void add(const std::string& split,
           int64_t height,
           int64_t width,
           float wall_share,
           float quality,
           const std::vector<float>& quality_parts);

  int64_t samples() const;
  /// (split, height, width) -> samples.
  const std::map<std::tuple<std::string, int64_t, int64_t>, int64_t>& groups() const {
    return groups_;
  }
  /// `wall_share`, `quality` (all parts together), and `quality.PART` of each part that any sample
  /// has.
  std::vector<const Distribution*> distributions() const;
  /// {"splits": {…}, "sizes": {"512x512": …}, "distributions": {name: {min, p05, p25, median, p75,
  /// p95, max, mean, missing}}}
  nlohmann::ordered_json to_json() const;
  /// Lines for a person.
  std::string to_text() const;

 private:
  std::map<std::tuple<std::string, int64_t, int64_t>, int64_t> groups_;
  std::vector<Distribution> distributions_;
};

/// Of the samples in the shards that an index lists; opens each shard, reads no pixels.
DatasetSummary summarize(const std::filesystem::path& folder, const DatasetIndex& index);

}  // namespace limewash::data
