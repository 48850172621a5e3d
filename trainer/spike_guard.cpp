#include "trainer/spike_guard.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace limewash::trainer {

namespace {

/// Of a normal distribution: its standard deviation over its median absolute deviation.
constexpr double kDeviationOfMedian = 1.4826;

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return 0.5 * (*middle + *std::max_element(values.begin(), middle));
}

}  // namespace

void SpikeGuardOptions::describe(config::Fields& fields) {
  fields.choice("action", action, {"off", "warn", "skip"}, "what a loss that stands out does");
  fields.field("window", window, "losses that are looked back at", {4, 100'000});
  fields.field("threshold", threshold, "deviations above the median of a spike", {1.0, 1e6});
}

SpikeGuard::SpikeGuard(const SpikeGuardOptions& options) : options_(options) {}

SpikeGuard::Verdict SpikeGuard::judge(double loss) {
  Verdict verdict;
  if (options_.action == "off" || !std::isfinite(loss)) return verdict;
  const auto window = static_cast<size_t>(options_.window);
  if (losses_.size() >= window / 2) {
    verdict.median = median_of(losses_);
    std::vector<double> distances;
    for (const double seen : losses_) distances.push_back(std::abs(seen - verdict.median));
    verdict.deviation = kDeviationOfMedian * median_of(std::move(distances));
    // Equal losses have no deviation: rounding must not make a spike of the next.
    const double unit = std::max(verdict.deviation, 1e-6 * std::abs(verdict.median));
    verdict.spike = loss > verdict.median + options_.threshold * unit;
    verdict.skip = verdict.spike && options_.action == "skip";
  }
  spikes_ += verdict.spike ? 1 : 0;
  losses_.push_back(loss);
  if (losses_.size() > window) losses_.erase(losses_.begin());
  return verdict;
}

bool SpikeGuard::skips() const {
  return options_.action == "skip";
}

const std::vector<double>& SpikeGuard::losses() const {
  return losses_;
}

int64_t SpikeGuard::spikes() const {
  return spikes_;
}

void SpikeGuard::restore(std::vector<double> losses, int64_t spikes) {
  losses_ = std::move(losses);
  spikes_ = spikes;
}

}  // namespace limewash::trainer
