#include "tracking/recorded_entries.h"

#include <algorithm>

namespace limewash::tracking {
namespace {

bool before(const std::pair<int64_t, double>& point, int64_t step) {
  return point.first < step;
}

}  // namespace

std::optional<double> MetricSeries::find(int64_t step) const {
  const auto it = std::lower_bound(points_.begin(), points_.end(), step, before);
  if (it == points_.end() || it->first != step) return std::nullopt;
  return it->second;
}

void MetricSeries::add(int64_t step, double value) {
  // Steps come in order but for what several writers interleave.
  const auto it = points_.empty() || points_.back().first < step
                      ? points_.end()
                      : std::lower_bound(points_.begin(), points_.end(), step, before);
  if (it == points_.end() || it->first != step) points_.insert(it, {step, value});
}

std::string dataset_identity(const Entry& entry) {
  return entry.key + '\n' + entry.value + '\n' + entry.file + '\n' + entry.path;
}

void RecordedEntries::remember(const Entry& entry) {
  switch (entry.kind) {
    case EntryKind::kMetric:
      metrics[entry.key].add(entry.step, entry.number);
      break;
    case EntryKind::kParam:
      params.emplace(entry.key, entry.value);
      break;
    case EntryKind::kTag:
      tags[entry.key] = entry.value;
      break;
    case EntryKind::kImage:
      images.emplace(entry.key, entry.step);
      break;
    case EntryKind::kDataset:
      datasets.insert(dataset_identity(entry));
      break;
    case EntryKind::kAttempt:
      ++attempts;
      if (run_key.empty() || entry.time_ms < run_key_time) {
        run_key = entry.key;
        run_key_time = entry.time_ms;
      }
      break;
    case EntryKind::kArtifact:
    case EntryKind::kStatus:
      break;
  }
}

int64_t RecordedEntries::next_step(const std::string& prefix) const {
  int64_t next = 0;
  for (const auto& [key, series] : metrics) {
    if (key.starts_with(prefix)) next = std::max(next, series.last_step() + 1);
  }
  return next;
}

}  // namespace limewash::tracking
