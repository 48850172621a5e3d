#include "data/dataset_summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include "data/mask_quality.h"

namespace limewash::data {
namespace {

using nlohmann::ordered_json;

struct Quantile {
  const char* name;
  double share;
};
constexpr Quantile kQuantiles[] = {{"min", 0},
                                   {"p05", 0.05},
                                   {"p25", 0.25},
                                   {"median", 0.5},
                                   {"p75", 0.75},
                                   {"p95", 0.95},
                                   {"max", 1}};

/// Four decimals are more than any of these figures is good for.
double rounded(double value) {
  return std::round(value * 1e4) / 1e4;
}

ordered_json to_json(const Distribution& distribution) {
  ordered_json json = ordered_json::object();
  for (const Quantile& quantile : kQuantiles)
    json[quantile.name] = rounded(distribution.quantile(quantile.share));
  json["mean"] = rounded(distribution.mean());
  json["missing"] = distribution.missing();
  return json;
}

std::string size_text(int64_t height, int64_t width) {
  return fmt::format("{}x{}", width, height);
}

}  // namespace

void Distribution::add(float value) {
  sorted_ = false;
  if (std::isfinite(value)) {
    values_.push_back(value);
  } else {
    ++missing_;
  }
}

double Distribution::mean() const {
  quantile(0);  // in sorted order, so that the sum does not depend on the order of the samples
  return values_.empty() ? std::numeric_limits<double>::quiet_NaN()
                         : std::accumulate(values_.begin(), values_.end(), 0.0) /
                               static_cast<double>(values_.size());
}

double Distribution::quantile(double share) const {
  if (values_.empty()) return std::numeric_limits<double>::quiet_NaN();
  if (!sorted_) std::sort(values_.begin(), values_.end());
  sorted_ = true;
  const double place = share * static_cast<double>(values_.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, values_.size() - 1);
  const double weight = place - static_cast<double>(below);
  return static_cast<double>(values_[below]) * (1 - weight) +
         static_cast<double>(values_[above]) * weight;
}

DatasetSummary::DatasetSummary(const std::vector<std::string>& part_names)
    : distributions_{Distribution("wall_share"), Distribution("quality")} {
  for (const std::string& name : part_names) distributions_.emplace_back("quality." + name);
}

void DatasetSummary::add(const std::string& split,
                         int64_t height,
                         int64_t width,
                         float wall_share,
                         float quality,
                         const std::vector<float>& quality_parts) {
  ++groups_[{split, height, width}];
  distributions_[0].add(wall_share);
  distributions_[1].add(quality);
  for (size_t i = 0; i < quality_parts.size() && i + 2 < distributions_.size(); ++i)
    distributions_[i + 2].add(quality_parts[i]);
}

int64_t DatasetSummary::samples() const {
  int64_t samples = 0;
  for (const auto& [group, count] : groups_) samples += count;
  return samples;
}

std::vector<const Distribution*> DatasetSummary::distributions() const {
  std::vector<const Distribution*> present;
  for (const Distribution& one : distributions_)
    if (!one.values().empty()) present.push_back(&one);
  return present;
}

ordered_json DatasetSummary::to_json() const {
  ordered_json splits = ordered_json::object(), sizes = ordered_json::object(),
               figures = ordered_json::object();
  for (const char* split : kSplits) {
    for (const auto& [group, count] : groups_)
      if (std::get<0>(group) == split) splits[split] = splits.value(split, int64_t{0}) + count;
  }
  for (const auto& [group, count] : groups_) {
    const std::string size = size_text(std::get<1>(group), std::get<2>(group));
    sizes[size] = sizes.value(size, int64_t{0}) + count;
  }
  for (const Distribution* one : distributions()) figures[one->name()] = data::to_json(*one);
  return {{"splits", splits}, {"sizes", sizes}, {"distributions", figures}};
}

std::string DatasetSummary::to_text() const {
  std::string text;
  for (const char* split : kSplits)
    for (const auto& [group, count] : groups_)
      if (std::get<0>(group) == split)
        text += fmt::format("  {:<12} {:>11} {:>9}\n",
                            split,
                            size_text(std::get<1>(group), std::get<2>(group)),
                            count);
  if (distributions().empty()) return text;
  text += fmt::format("  {:<28}", "");
  for (const Quantile& quantile : kQuantiles) text += fmt::format(" {:>6}", quantile.name);
  text += "    mean  missing\n";
  for (const Distribution* one : distributions()) {
    text += fmt::format("  {:<28}", one->name());
    for (const Quantile& quantile : kQuantiles)
      text += fmt::format(" {:>6.3f}", one->quantile(quantile.share));
    text += fmt::format("  {:>6.3f} {:>8}\n", one->mean(), one->missing());
  }
  return text;
}

DatasetSummary summarize(const std::filesystem::path& folder, const DatasetIndex& index) {
  std::vector<std::string> names = quality_part_names();
  if (!index.shards.empty()) names = open_shard(folder, index.shards[0]).quality_part_names();
  DatasetSummary summary(names);
  for (const ShardEntry& entry : index.shards) {
    const ShardReader shard = open_shard(folder, entry);
    for (int64_t i = 0; i < entry.summary.samples; ++i)
      summary.add(entry.split,
                  entry.summary.height,
                  entry.summary.width,
                  shard.wall_share(i),
                  shard.info(i).quality,
                  shard.quality_parts(i));
  }
  return summary;
}

}  // namespace limewash::data
