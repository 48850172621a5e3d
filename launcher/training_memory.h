#pragma once
// How much memory and disk a configuration's training takes, told before it starts and when memory
// ran out.

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "launcher/config.h"
#include "models/memory_estimate.h"
#include "runtime/host_info.h"

namespace limewash::launcher {

/// What a configuration's files say that its keys do not.
struct TrainingSizes {
  std::filesystem::path unet, vae;  ///< folders
  models::UNetConfig unet_config;
  /// Of all networks: parameters, and those of them that lie in their files as they are computed
  /// with, by fp32 and bf16: ranks of one host share that memory.
  int64_t parameters = 0, mapped_fp32 = 0, mapped_bf16 = 0;
  int64_t unet_parameters = 0, unet_mapped_fp32 = 0;
  models::AdapterSize adapter;
  int64_t downscale = 8, latent_channels = 4;
  int64_t text_tokens = 77;
  std::vector<int64_t> embedding_shape;  ///< of one reference
  int64_t samples = 0;                   ///< of data.train
  int64_t height = 0, width = 0;         ///< its largest, in pixels
  int64_t cache_bytes = 0;               ///< all of data.train encoded
};

/// Reads headers and configurations only. Throws what loading the files would throw.
TrainingSizes read_training_sizes(const Config& config);

struct TrainingMemory {
  models::MemoryEstimate rank;
  int64_t shared = 0;  ///< of rank.weights: there once, however many ranks a host has
  int64_t ranks = 1;   ///< on this host
  int64_t host() const;
};
TrainingMemory estimate_memory(const TrainingSizes& sizes, const Config& config);

/// One change of the configuration that takes less memory.
struct MemorySaving {
  std::string setting;  ///< "training.micro_batch = 1"
  int64_t host = 0;     ///< what the host's ranks then take
};
/// What to lower, the most effective first; changes that save less than a twentieth are left out.
std::vector<MemorySaving> memory_savings(const TrainingSizes& sizes, const Config& config);

/// "5.9 GiB a rank (weights 3.9 GiB, ...)".
std::string memory_text(const TrainingMemory& memory);
/// "training.micro_batch = 1 takes 3.1 GiB; ...", empty when nothing helps.
std::string savings_text(const std::vector<MemorySaving>& savings);

/// Bytes of one checkpoint: state, adapter files.
int64_t checkpoint_bytes(const TrainingSizes& sizes, const Config& config);

/// The message for a training that ran out of memory: what failed, which configuration asked for
/// it, the estimate, what was free when it began, and what to lower. `config_file` may be empty.
std::string out_of_memory_text(const std::exception& error,
                               const Config& config,
                               const std::string& config_file,
                               const MemoryLimits& at_begin);

}  // namespace limewash::launcher
