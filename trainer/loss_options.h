#pragma once
// `loss`: what is minimised. docs/training.md has the formulas. Every term but the noise loss can
// be off, and is unless it is asked for.

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/config.h"

namespace limewash::trainer {

/// `loss.noise`: error of the network's output, weighted by region.
struct NoiseLossOptions {
  double inside = 1.0;       ///< weight of a latent pixel of the hole
  double outside = 1.0;      ///< weight of a latent pixel outside of it
  std::string kind = "mse";  ///< mse | huber | smooth_l1, the last two in their smooth form
  double huber_c = 0.1;      ///< where huber and smooth_l1 turn from a square to a slope
  std::string huber_schedule = "constant";  ///< of huber_c: constant | exponential | snr
  double min_snr_gamma = 0;  ///< Hang et al., 2023; 0: every timestep weighs the same
  double offset_noise = 0;   ///< strength of the noise that a channel has in common; 0: none
  void describe(config::Fields& fields);
};

/// What the terms on the predicted z_0 have in common.
struct TermOptions {
  double weight = 0;             ///< 0: off
  int64_t start_step = 0;        ///< first step that counts it
  int64_t timestep_low = 0;      ///< first timestep that counts it
  int64_t timestep_high = 1000;  ///< one past the last
  /// none; or alpha_bar: a sample weighs by the share of signal at its timestep.
  std::string timestep_weight = "none";

  bool has_started(int64_t step) const {
    return weight > 0 && step >= start_step;
  }
  bool counts_timestep(int64_t timestep) const {
    return timestep >= timestep_low && timestep < timestep_high;
  }
  bool counts(int64_t timestep, int64_t step) const {
    return has_started(step) && counts_timestep(timestep);
  }
  /// The fields above; `weight_help` says what is weighed.
  void describe_term(config::Fields& fields, const char* weight_help);
  /// `name`: the section, for messages.
  void validate_term(const std::string& name) const;
};

/// `loss.color`: region-mean Lab of the predicted z_0 over the core.
struct ColorLossOptions : TermOptions {
  /// target: the target's own region mean; reference: the colour asked for
  std::string anchor = "target";
  /// How latents become colours: linear (the fitted map), crop (a crop of the core, decoded),
  /// picture (everything decoded: for a small decoder).
  std::string path = "linear";
  void describe(config::Fields& fields);
};

/// `loss.perceptual.multi_scale`: a Laplacian pyramid of the difference from the target.
struct MultiScaleOptions : TermOptions {
  int64_t levels = 3;          ///< bands, and what is left below them
  std::string on = "latents";  ///< latents | crop: the decoded crop
  void describe(config::Fields& fields);
};

/// `loss.perceptual.lpips`: LPIPS of the decoded crop against the target's.
struct LpipsLossOptions : TermOptions {
  std::string weights;  ///< file that eval/make_lpips_weights.py wrote
  void describe(config::Fields& fields);
};

/// `loss.perceptual`.
struct PerceptualLossOptions {
  MultiScaleOptions multi_scale;
  LpipsLossOptions lpips;
  void describe(config::Fields& fields);
};

/// `loss.adversarial`: two discriminators on latents, each with a weight of its own.
struct AdversarialLossOptions {
  double wall = 0;                       ///< weight of "the wall looks like the target's"; 0: off
  double paint = 0;                      ///< weight of "nothing but the wall is painted"; 0: off
  int64_t start_step = 0;                ///< first step that trains the discriminators
  int64_t warm_up_steps = 0;             ///< steps in which only they learn
  int64_t timestep_low = 0;              ///< first timestep that counts
  int64_t timestep_high = 1000;          ///< one past the last
  std::string timestep_weight = "none";  ///< none | alpha_bar
  int64_t channels = 32;                 ///< of a discriminator's first layer
  int64_t num_halvings = 2;              ///< its layers of stride 2
  double learning_rate = 2e-4;
  double beta1 = 0.5;
  double beta2 = 0.99;
  double r1 = 1.0;  ///< weight of the gradient penalty on targets

  bool on() const {
    return wall > 0 || paint > 0;
  }
  /// Window and timestep weight of the discriminators' own training.
  TermOptions learning() const;
  /// Those of a term with `weight`, which starts when the discriminators have warmed up.
  TermOptions term(double weight) const;
  void describe(config::Fields& fields);
};

/// `loss`.
struct LossOptions {
  NoiseLossOptions noise;
  ColorLossOptions color;
  PerceptualLossOptions perceptual;
  AdversarialLossOptions adversarial;
  int64_t crop = 16;    ///< latent pixels a side of the crop that is decoded
  std::string decoder;  ///< folder of the autoencoder that decodes it; "" means the base's VAE
  int64_t gradient_share_every = 0;  ///< steps between measurements of the terms' shares; 0: never
  bool quality_weight = false;       ///< weigh each sample by its mask quality

  /// Whether any term decodes latents.
  bool decodes() const;
  void describe(config::Fields& fields);
  void validate() const;
};

}  // namespace limewash::trainer
