#pragma once
// What rank 0 writes of an evaluation.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/evaluator.h"
#include "eval/painting_plan.h"

namespace limewash::eval {

/// metrics.json: the protocol's version and options, the medians with their missing counts, and one
/// record a painting (photo, asked colour, whether it is the wall's own, every figure). `method`:
/// adapter, base, or a baseline's name. `lpips_network`: whose LPIPS it is, if any.
void write_metrics(const std::filesystem::path& path,
                   const EvaluationResult& result,
                   const EvaluationOptions& options,
                   const std::optional<std::string>& lpips_network,
                   const std::string& method,
                   const data::Dataset& dataset,
                   const std::vector<PlannedPainting>& paintings,
                   const std::vector<Metrics>& records);

}  // namespace limewash::eval
