#pragma once
// The discriminators of the adversarial terms: what they say of predicted latents, and how they
// learn. Shapes: z [N, C, h, w], mask and core [N, 1, h, w].

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "models/discriminator.h"
#include "trainer/adamw.h"
#include "trainer/flat_parameters.h"
#include "trainer/loss_options.h"

namespace limewash::trainer {

/// Two discriminators in float32, trained by an AdamW of their own. `wall` tells the wall of a
/// target from a predicted one; it sees [z | mask] and is asked over the hole. `paint` tells things
/// as they are from the same things in the wall's colour; it sees z and is asked everywhere.
class Adversary {
 public:
  Adversary(const AdversarialLossOptions& options,
            int64_t latent_channels,
            uint64_t seed,
            at::Device device = at::kCPU);

  /// What the network is to minimise, [N]: minus the mean logit of the wall over the hole of
  /// `predicted`, whose outside is taken from the target `z0`. The discriminator gets no gradient.
  at::Tensor wall_term(const at::Tensor& predicted,
                       const at::Tensor& z0,
                       const at::Tensor& mask) const;
  /// Minus the mean logit of the paint detector over all of `predicted`, [N].
  at::Tensor paint_term(const at::Tensor& predicted) const;

  /// The discriminators' own losses, scalars; undefined where one is off.
  struct Losses {
    at::Tensor wall, paint;
  };
  /// Hinge losses and gradient penalty (Mescheder et al., 2018) of a micro-batch, each row times
  /// `weight` [N]; adds their gradients to `reduced()`.
  Losses learn(const at::Tensor& predicted,
               const at::Tensor& z0,
               const at::Tensor& mask,
               const at::Tensor& core,
               const at::Tensor& weight);

  /// `z0` with everything but the hole in the wall's mean colour, its detail kept.
  static at::Tensor painted(const at::Tensor& z0, const at::Tensor& mask, const at::Tensor& core);

  /// All gradients: to be zeroed before a step and summed over ranks behind its micro-batches.
  at::Tensor& reduced();
  void zero();
  /// One update by what `reduced()` holds; none when that is not finite.
  void step();

  /// What a checkpoint holds, by name, and how it comes back; InputError naming what is missing or
  /// of another shape.
  std::map<std::string, at::Tensor> state();
  void load_state(const std::map<std::string, at::Tensor>& state);
  /// The discriminators' tensors by name.
  const std::vector<models::NamedParameter>& parameters() const;

 private:
  AdversarialLossOptions options_;
  std::unique_ptr<models::Discriminator> wall_, paint_;
  std::vector<models::NamedParameter> named_;
  FlatParameters parameters_;
  AdamW optimizer_;
};

}  // namespace limewash::trainer
