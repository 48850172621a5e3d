#pragma once
// The evaluation protocol (docs/evaluation.md): photos x references, fixed noise, metrics over core
// and hole, medians over the set, beside the controls.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "data/dataset.h"
#include "data/reference.h"
#include "eval/evaluation_options.h"
#include "eval/metrics.h"
#include "models/adapter.h"
#include "models/base_model.h"
#include "runtime/communicator.h"

namespace limewash::eval {

/// Of docs/evaluation.md: figures of different versions must not be compared.
inline constexpr int64_t kProtocolVersion = 1;

struct EvaluationResult {
  std::optional<int64_t> step;  ///< of the training; none where no training is known of
  Metrics metrics;              ///< medians over all paintings, and `..._p90` of the headline
  int64_t paintings = 0;
  MissingCounts missing;  ///< paintings without a figure, by name
  /// {step, paintings, missing: {name: count}, and the metrics by name}.
  nlohmann::json to_json() const;
};

struct Controls {
  Metrics shuffled_reference, recolored_without_network, floor;
  /// {shuffled_reference: {...}, recolored_without_network: {...}, floor: {...}}.
  nlohmann::json to_json() const;
};

/// What paints without a denoiser.
enum class Baseline {
  kRecolored,  ///< the photo recoloured inside the mask: what an image editor does
  kFloor,      ///< the target through the VAE and back: what no adapter can beat
};

/// `recolored_without_network`, `floor`.
const char* baseline_name(Baseline baseline);

class Evaluator {
 public:
  /// Encode photos and holes once. All ranks call it; each keeps its share: paintings of one size
  /// are cut into batches of `options.batch`, and batch b belongs to rank b % size, so that the
  /// figures do not depend on the number of ranks. `base`, `dataset` and `communicator` must
  /// outlive it.
  Evaluator(models::BaseModel& base,
            const data::Dataset& dataset,
            const data::ReferenceOptions& reference,
            const EvaluationOptions& options,
            Communicator& communicator);
  ~Evaluator();

  /// Show no progress: where another rank's is on display.
  void hide_progress();

  /// Paint with `adapter` and measure. nullptr: the base alone; an adapter that is installed in the
  /// UNet must then be switched off by the caller (`adapter.set_enabled(false)`), and on again
  /// after. All ranks call it and get the same result; rank 0 writes `metrics.json` and `grid.png`
  /// into `folder`, which it makes; what that lies in has to be there, or it throws
  /// std::filesystem::filesystem_error. `title` heads the grid; "" stands for the step. nullopt
  /// when a stop was asked for on any rank.
  std::optional<EvaluationResult> evaluate(std::optional<int64_t> step,
                                           models::Adapter* adapter,
                                           const std::filesystem::path& folder,
                                           const std::string& title = "");
  /// The same of what paints without a denoiser.
  std::optional<EvaluationResult> evaluate(Baseline baseline, const std::filesystem::path& folder);

  /// The control that asks for other references than those that it is measured against.
  std::optional<Metrics> shuffled_reference(models::Adapter& adapter);
  /// The controls of design §10; the shuffled reference uses `adapter`. All ranks call it. nullopt
  /// as above.
  std::optional<Controls> controls(models::Adapter& adapter);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace limewash::eval
