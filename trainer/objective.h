#pragma once
// What is minimised: the noise loss, and terms on the predicted z_0. Every term is divided by a
// count over the global batch that all ranks know beforehand, so that summed gradients are the
// gradient of the whole.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "eval/lpips.h"
#include "models/autoencoder.h"
#include "models/noise_schedule.h"
#include "trainer/adversary.h"
#include "trainer/batch.h"
#include "trainer/color_loss.h"
#include "trainer/loss_crop.h"
#include "trainer/options.h"

namespace limewash::trainer {

/// Denominators of the terms over the global batch; those on the predicted z_0 are the quality
/// summed over the samples that the term counts, 0 where there is none.
struct LossScale {
  double noise_weight = 1;  ///< BatchSource::noise_weight_total
  double color_weight = 0;
  double multi_scale_weight = 0;
  double lpips_weight = 0;
  double adversarial_weight = 0;    ///< of both terms
  double discriminator_weight = 0;  ///< of the discriminators' own losses

  /// The same for a pass, float32 [6] in the order above, none of them 0. `pinned`: for a GPU to
  /// copy from.
  at::Tensor denominators(bool pinned = false) const;
};

/// Which terms beside the noise loss a pass computes. The host has to know: a GPU that is asked
/// whether any sample counts is a GPU that is waited for.
struct TermSelection {
  bool color = false, multi_scale = false, lpips = false;
  bool adversarial = false;     ///< both terms
  bool discriminators = false;  ///< their own losses

  /// The terms that are selected, as a text.
  std::string names() const;
};

/// One term's share of the loss of a micro-batch.
struct LossTerm {
  std::string name;
  double weight = 1;
  at::Tensor value;  ///< scalar, before its weight; a plain zero where the term counts nothing
};

/// Shares of the loss of one micro-batch; over all micro-batches of all ranks they sum to the loss.
struct LossTerms {
  at::Tensor total;             ///< scalar to differentiate
  std::vector<LossTerm> terms;  ///< as Objective::terms has them
  /// A term's detached value.
  at::Tensor value(const std::string& name) const;
};

/// What the terms need besides the batch; the pointers outlive the objective, and may be nullptr
/// where no term asks for them.
struct ObjectiveParts {
  const models::NoiseSchedule& schedule;
  std::vector<float>
      latent_to_rgb;  ///< affine map [C + 1, 3] from scaled latents to sRGB in [0, 1]
  uint64_t seed = 42;
  models::Autoencoder* decoder = nullptr;
  const eval::Lpips* lpips = nullptr;
  at::Device device = at::kCPU;  ///< of the batches, and of all that computes
};

class Objective {
 public:
  Objective(const LossOptions& options, ObjectiveParts parts);

  /// Names and weights of the terms: noise, and what else is on, in the order of the columns of
  /// losses.csv. Without values.
  std::vector<LossTerm> terms() const;
  /// The discriminators that learn beside; nullptr without an adversarial term.
  Adversary* adversary() const;
  /// Whether the colour loss counts this sample at optimizer step `step`.
  bool counts_color(const StreamSample& sample, int64_t step) const;
  /// Of the global batch `samples`; `noise_weight`: BatchSource::noise_weight_total.
  LossScale scale(double noise_weight,
                  const std::vector<StreamSample>& samples,
                  int64_t step) const;
  /// The terms that count any of `samples` at optimizer step `step`.
  TermSelection counted_terms(const std::vector<StreamSample>& samples, int64_t step) const;
  /// The terms that have started by then: what a pass computes that does not depend on its samples,
  /// which then weigh nothing in a term that does not count them. Not for terms that decode: they
  /// take the counted samples alone.
  TermSelection started_terms(int64_t step) const;
  /// `z_t` and the network's `output` [N, C, h, w]; `denominators`: LossScale's, on the device.
  LossTerms operator()(const MicroBatch& batch,
                       const at::Tensor& z_t,
                       const at::Tensor& output,
                       const at::Tensor& denominators,
                       const TermSelection& selection) const;
  /// Let the discriminators learn from the same micro-batch, where they are selected.
  Adversary::Losses teach(const MicroBatch& batch,
                          const at::Tensor& z_t,
                          const at::Tensor& output,
                          const at::Tensor& denominators,
                          const TermSelection& selection) const;
  /// The square of the norm of each weighted term's gradient at the network's `output`, scalars, 0
  /// where it has none. The graph stays.
  std::vector<at::Tensor> gradient_squares(const LossTerms& terms, const at::Tensor& output) const;

 private:
  struct Prediction;
  /// What the samples weigh in a term of the options that has started, [N]; 0 where one is not
  /// counted.
  at::Tensor row_weights(const TermOptions& term, const MicroBatch& batch) const;
  /// The sum over rows and pixels, before its denominator.
  at::Tensor noise_term(const MicroBatch& batch, const at::Tensor& output) const;
  at::Tensor color_term(const Prediction& prediction, const at::Tensor& weights) const;
  at::Tensor multi_scale_term(const Prediction& prediction, const at::Tensor& weights) const;
  at::Tensor lpips_term(const Prediction& prediction, const at::Tensor& weights) const;

  LossOptions options_;
  ObjectiveParts parts_;
  LatentColor latent_color_;
  std::shared_ptr<Adversary> adversary_;
};

}  // namespace limewash::trainer
