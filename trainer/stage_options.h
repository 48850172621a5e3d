#pragma once
// One entry of `training.stages`.

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/config.h"

namespace limewash::trainer {

/// The names of stages.
inline const std::vector<std::string> kStages = {"lora", "ip_adapter", "joint", "full"};
/// The names of schedules.
inline const std::vector<std::string> kSchedules = {
    "constant", "cosine", "linear", "cosine_with_restarts"};
/// A stage's schedule that is the optimizer's.
inline constexpr const char* kSameSchedule = "same";

struct StageOptions {
  std::string stage = "joint";           ///< lora | ip_adapter | joint | full
  int64_t steps = 1000;                  ///< of this stage
  double learning_rate = 0;              ///< 0: optimizer's
  std::string schedule = kSameSchedule;  ///< over this stage's steps
  int64_t warmup_steps = -1;             ///< -1: optimizer's
  void describe(config::Fields& fields);
};

}  // namespace limewash::trainer
