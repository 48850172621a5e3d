#pragma once
// The noise loss on photos that are not trained on, by timestep: comparable over steps and runs,
// since its draws are fixed.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/dataset.h"
#include "data/latent_cache.h"
#include "models/adapter.h"
#include "models/base_model.h"
#include "runtime/communicator.h"
#include "trainer/options.h"

namespace limewash::trainer {

/// One measurement.
struct ValidationLosses {
  int64_t step = 0;
  double loss = 0;           ///< the mean of the bins
  std::vector<double> bins;  ///< mean squared error of the network's output, low timesteps first
};

/// Names of the bins of `timesteps` timesteps: "t000_100" is 0 to 99.
std::vector<std::string> bin_names(int64_t bins, int64_t timesteps);

class ValidationLoss {
 public:
  /// `batch`: rows of a forward pass. References outlive it; `cache` is one of `dataset` with one
  /// reference a photo. `seed`: of the draws.
  ValidationLoss(models::BaseModel& base,
                 const data::Dataset& dataset,
                 const data::LatentCache& cache,
                 Communicator& communicator,
                 const ValidationLossOptions& options,
                 int64_t batch,
                 uint64_t seed);

  /// All ranks call it and get the same figures, the same whatever their number: the squared error
  /// averaged over the whole photo, of one timestep a photo and bin. The timestep and the noise are
  /// pure functions of seed, photo and bin; the latents are the VAE's mean, and no reference is
  /// dropped. nullopt when a stop was asked for on any rank.
  std::optional<ValidationLosses> measure(models::Adapter& adapter, int64_t step);

  std::vector<std::string> names() const;

 private:
  /// One row of a forward pass.
  struct Draw {
    int64_t index = 0;  ///< of the photo
    int64_t bin = 0;
    int64_t timestep = 0;
  };
  /// The mean squared errors of these rows, [N] float64.
  at::Tensor errors_of(models::Adapter& adapter, const std::vector<Draw>& rows) const;

  models::BaseModel& base_;
  const data::Dataset& dataset_;
  const data::LatentCache& cache_;
  Communicator& communicator_;
  ValidationLossOptions options_;
  uint64_t seed_;
  std::vector<std::vector<Draw>> batches_;  // each of one size of photo
  at::Tensor text_;                         // [1, L, D], the empty prompt
};

/// RUN/validation_losses.csv: each measured step once, full precision.
class ValidationLog {
 public:
  /// Go on after `step`: what an earlier attempt measured beyond it is dropped.
  ValidationLog(std::filesystem::path path, std::vector<std::string> bins, int64_t step);
  bool has(int64_t step) const;
  void append(const ValidationLosses& losses);

 private:
  std::filesystem::path path_;
  std::vector<std::string> bins_;
  std::vector<ValidationLosses> rows_;
};

/// A validation_losses.csv; empty when there is none.
struct ValidationTable {
  std::vector<std::string> bins;  ///< their names
  std::vector<ValidationLosses> rows;
};
ValidationTable read_validation_losses(const std::filesystem::path& path);

}  // namespace limewash::trainer
