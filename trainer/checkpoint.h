#pragma once
// Everything needed to go on, in RUN/checkpoints/step-000500/: the adapter in its public formats,
// the exact optimizer state, the resolved configuration, and DONE, which is written last. Only a
// folder with DONE counts.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace limewash::trainer {

/// What makes a run the same run: a resumed one with another value is refused.
struct RunIdentity {
  std::string dataset;        ///< fingerprint of the training set
  std::string base;           ///< fingerprint of the base model
  std::string layout;         ///< what each stage trains, by layout_of
  std::string configuration;  ///< the resolved sections that shape the trajectory, as YAML
  /// Those sections with every key at its default: what a checkpoint of an older version meant by
  /// a key that it does not have. Not written.
  std::string defaults = {};
};

struct TrainingState {
  int64_t step = 0;                   ///< optimizer steps done
  int64_t stage = 0;                  ///< place of the stage whose state this is
  int64_t updates = 0;                ///< of which changed the weights
  int64_t skipped_in_a_row = 0;       ///< steps skipped for a gradient that was not finite
  double seconds = 0;                 ///< time spent training in all attempts
  std::vector<double> recent_losses;  ///< of the spike guard
  int64_t loss_spikes = 0;
  at::Tensor values, exp_avg, exp_avg_sq, ema;  ///< flat, [P]; ema may be undefined
  RunIdentity identity;
  /// Further tensors under names of their own: "settled.NAME" is a weight that an earlier stage
  /// trained; what else learns beside the adapter has its own names.
  std::map<std::string, at::Tensor> extra;
};

/// `folder`/step-NNNNNN.
std::filesystem::path checkpoint_path(const std::filesystem::path& folder, int64_t step);

/// Write a checkpoint: `write_adapter` puts the adapter's files into the folder it is given. The
/// folder gets its name when everything in it is synced, then DONE.
void write_checkpoint(const std::filesystem::path& folder,
                      const TrainingState& state,
                      const std::string& config_yaml,
                      const std::function<void(const std::filesystem::path&)>& write_adapter);

/// Steps of the complete checkpoints, ascending.
std::vector<int64_t> complete_checkpoints(const std::filesystem::path& folder);

/// Read one. Throws InputError naming the file when it is damaged, or ConfigError naming everything
/// that differs when `expected` is another run's identity. More steps at a constant learning rate
/// are the same run.
TrainingState read_checkpoint(const std::filesystem::path& folder,
                              int64_t step,
                              const RunIdentity& expected);

/// The settings in which the checkpoint's configuration differs from `config_yaml`, as a text; ""
/// when there are none, or none that can be read.
std::string setting_changes(const std::filesystem::path& folder,
                            int64_t step,
                            const std::string& config_yaml);

/// Delete all but the newest `keep_last` and the steps of `keep`, and whatever a killed writer
/// left. Nobody else may be writing there.
void prune_checkpoints(const std::filesystem::path& folder,
                       int64_t keep_last,
                       const std::set<int64_t>& keep);

}  // namespace limewash::trainer
