#pragma once
// Several subjects on the same paintings: what `limewash evaluate` writes.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "eval/evaluator.h"
#include "eval/metrics.h"

namespace limewash::eval {

/// One column of the table.
struct ComparedSubject {
  std::string name;             ///< heads the column
  std::string method;           ///< adapter | base | recolored_without_network | floor
  std::string source;           ///< the adapter's files; "" where there are none
  bool control = false;         ///< stands beside the figures without being asked for
  std::filesystem::path files;  ///< folder of metrics.json and grid.png, below the comparison's
  EvaluationResult result;
  std::optional<Metrics> shuffled_reference;  ///< an adapter's control
};

struct Comparison {
  std::string dataset, fingerprint,
      split;                              ///< folder; of the samples; validation, test, train, all
  std::string base;                       ///< the base model's name
  std::vector<ComparedSubject> subjects;  ///< controls last
};

/// {protocol, dataset: {folder, fingerprint, split}, base, paintings, subjects: [{name, method,
/// source, step, files, metrics, missing, shuffled_reference}], controls: {NAME: {...}}}; missing
/// figures are null, as is the shuffled reference of what takes none.
nlohmann::json comparison_json(const Comparison& comparison);

/// A line a figure and a column a subject, for a terminal; "-" is missing.
std::string comparison_table(const Comparison& comparison);

/// Write `evaluation.json` and `report.html` (one file, no script, no server: the table and every
/// grid) into `folder`, where the subjects' files are.
void write_comparison(const std::filesystem::path& folder, const Comparison& comparison);

}  // namespace limewash::eval
