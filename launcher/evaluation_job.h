#pragma once
// `limewash evaluate`: builds the base, the dataset and each subject in turn, and has the evaluator
// compare them.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/comparison.h"
#include "launcher/config.h"
#include "runtime/communicator.h"

namespace limewash::launcher {

/// What to compare, beside the configuration.
struct EvaluationRequest {
  std::vector<std::string> adapters;  ///< each is a subject: what models::locate_adapter takes
  std::string lora, ip_adapter;       ///< files of one more subject
  std::vector<std::string> methods;   ///< base | recolor | floor
  std::string split;                ///< validation, test, train or all; "": data::validation_split
  std::string out;                  ///< the folder to write
  bool hole_is_configured = false;  ///< reference.hole counts, whatever the adapters say
  bool controls = true;             ///< also the recolouring, the floor and shuffled references
};

/// The configuration of the first of these adapters that is a run, a checkpoint or a run's adapter
/// folder; an empty path when there is none.
std::filesystem::path config_of_adapters(const std::vector<std::string>& adapters);

/// What the request names: `run-step-000600`, `run`, or a file's name without its ending.
std::string subject_name(const std::filesystem::path& adapter);

/// Evaluate on this rank; all ranks get the comparison, rank 0 writes it. One subject's files lie
/// in `out` itself, those of several in a folder each. Throws ConfigError for a request that cannot
/// be, InputError for files that cannot be read, that do not fit the base, and after a stop.
eval::Comparison run_evaluation_job(Config config,
                                    const EvaluationRequest& request,
                                    Communicator& communicator);

}  // namespace limewash::launcher
