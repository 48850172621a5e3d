#include "trainer/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace limewash::trainer {

double learning_rate_at(const OptimizerOptions& options, int64_t step, int64_t total_steps) {
  if (step < options.warmup_steps) {
    return options.learning_rate * static_cast<double>(step + 1) /
           static_cast<double>(options.warmup_steps);
  }
  if (options.schedule == "constant") return options.learning_rate;
  const double span = static_cast<double>(std::max<int64_t>(1, total_steps - options.warmup_steps));
  double progress = std::min(1.0, static_cast<double>(step - options.warmup_steps) / span);
  if (options.schedule == "linear") return options.learning_rate * (1.0 - progress);
  if (options.schedule == "cosine_with_restarts" && progress < 1.0)
    progress = std::fmod(static_cast<double>(options.cycles) * progress, 1.0);
  return options.learning_rate * 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
}

}  // namespace limewash::trainer
