#pragma once
// What the journals of a run hold already, so that nothing is journalled twice.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tracking/entry.h"

namespace limewash::tracking {

/// The points of one metric: 16 bytes each, since a long run has millions.
class MetricSeries {
 public:
  /// The value of `step`, if it has one.
  std::optional<double> find(int64_t step) const;
  /// The first value of a step stays.
  void add(int64_t step, double value);
  /// The last step; the series is not empty.
  int64_t last_step() const {
    return points_.back().first;
  }

 private:
  std::vector<std::pair<int64_t, double>> points_;  // by step, each once
};

struct RecordedEntries {
  std::unordered_map<std::string, MetricSeries> metrics;
  std::map<std::string, std::string> params, tags;
  std::set<std::pair<std::string, int64_t>> images;
  std::set<std::string> datasets;
  std::string run_key;  ///< of the earliest attempt
  int64_t run_key_time = 0;
  int64_t attempts = 0;

  void remember(const Entry& entry);
  /// One after the last step of all metrics whose names begin with `prefix`; 0 without any.
  int64_t next_step(const std::string& prefix) const;
};

/// What makes a dataset entry the same as another.
std::string dataset_identity(const Entry& entry);

}  // namespace limewash::tracking
