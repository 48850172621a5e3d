#include "trainer/loss_options.h"

#include <filesystem>

#include "runtime/error.h"

namespace limewash::trainer {

namespace {

constexpr config::Range<double> kWeight{0.0, 1e6};
constexpr config::Range<int64_t> kSteps{0, 100'000'000};

void describe_window(config::Fields& fields,
                     int64_t& start_step,
                     int64_t& timestep_low,
                     int64_t& timestep_high,
                     std::string& timestep_weight) {
  fields.field("start_step", start_step, "first step that counts it", kSteps);
  fields.field("timestep_low", timestep_low, "first timestep that counts it", {0, 1'000'000});
  fields.field("timestep_high", timestep_high, "one past the last timestep", {1, 1'000'000});
  fields.choice("timestep_weight",
                timestep_weight,
                {"none", "alpha_bar"},
                "weigh a sample by the share of signal at its timestep");
}

}  // namespace

void NoiseLossOptions::describe(config::Fields& fields) {
  fields.field("inside", inside, "weight of the hole", kWeight);
  fields.field("outside", outside, "weight of the rest", kWeight);
  fields.choice("kind", kind, {"mse", "huber", "smooth_l1"}, "how an error is counted");
  fields.field("huber_c", huber_c, "where huber and smooth_l1 become linear", {1e-6, 1e3});
  fields.choice("huber_schedule",
                huber_schedule,
                {"constant", "exponential", "snr"},
                "how huber_c changes with the timestep");
  fields.field("min_snr_gamma", min_snr_gamma, "weight cap by signal to noise; 0: off", {0.0, 1e6});
  fields.field("offset_noise", offset_noise, "strength of noise common to a channel", {0.0, 10.0});
}

void TermOptions::describe_term(config::Fields& fields, const char* weight_help) {
  fields.field("weight", weight, weight_help, kWeight);
  describe_window(fields, start_step, timestep_low, timestep_high, timestep_weight);
}

void TermOptions::validate_term(const std::string& name) const {
  if (timestep_low < timestep_high) return;
  throw ConfigError(name + ".timestep_low = " + std::to_string(timestep_low) +
                    ": expected less than " + name +
                    ".timestep_high = " + std::to_string(timestep_high));
}

void ColorLossOptions::describe(config::Fields& fields) {
  describe_term(fields, "weight of the colour loss; 0: off");
  fields.choice("anchor", anchor, {"target", "reference"}, "what the region mean is compared with");
  fields.choice("path", path, {"linear", "crop", "picture"}, "how latents become colours");
}

void MultiScaleOptions::describe(config::Fields& fields) {
  describe_term(fields, "weight of the difference band by band; 0: off");
  fields.field("levels", levels, "bands", {1, 8});
  fields.choice("on", on, {"latents", "crop"}, "what is compared");
}

void LpipsLossOptions::describe(config::Fields& fields) {
  describe_term(fields, "weight of LPIPS on a decoded crop; 0: off");
  fields.field("weights", weights, "safetensors file of eval/make_lpips_weights.py");
}

void PerceptualLossOptions::describe(config::Fields& fields) {
  fields.section("multi_scale", multi_scale);
  fields.section("lpips", lpips);
}

TermOptions AdversarialLossOptions::learning() const {
  return {on() ? 1.0 : 0.0, start_step, timestep_low, timestep_high, timestep_weight};
}

TermOptions AdversarialLossOptions::term(double weight) const {
  return {weight, start_step + warm_up_steps, timestep_low, timestep_high, timestep_weight};
}

void AdversarialLossOptions::describe(config::Fields& fields) {
  fields.field("wall", wall, "weight of the wall's discriminator; 0: off", kWeight);
  fields.field("paint", paint, "weight of the detector of stray paint; 0: off", kWeight);
  describe_window(fields, start_step, timestep_low, timestep_high, timestep_weight);
  fields.field("warm_up_steps", warm_up_steps, "steps in which only discriminators learn", kSteps);
  fields.field("channels", channels, "of a discriminator's first layer", {1, 1024});
  fields.field("num_halvings", num_halvings, "layers of stride 2", {0, 6});
  fields.field("learning_rate", learning_rate, "of the discriminators' AdamW", {0.0, 10.0});
  fields.field("beta1", beta1, "decay of its first moment", {0.0, 0.999999});
  fields.field("beta2", beta2, "decay of its second moment", {0.0, 0.99999999});
  fields.field("r1", r1, "weight of the gradient penalty on targets; 0: none", kWeight);
}

bool LossOptions::decodes() const {
  return (color.weight > 0 && color.path != "linear") || perceptual.lpips.weight > 0 ||
         (perceptual.multi_scale.weight > 0 && perceptual.multi_scale.on == "crop");
}

void LossOptions::describe(config::Fields& fields) {
  fields.section("noise", noise);
  fields.section("color", color);
  fields.section("perceptual", perceptual);
  fields.section("adversarial", adversarial);
  fields.field("crop", crop, "latent pixels a side of the crop that is decoded", {1, 4096});
  fields.field("decoder", decoder, "folder of an autoencoder that decodes it; empty: the base's");
  fields.field("gradient_share_every",
               gradient_share_every,
               "steps between measurements of each term's share of the gradient; 0: never",
               kSteps);
  fields.field("quality_weight", quality_weight, "weigh each sample by its mask quality");
}

void LossOptions::validate() const {
  if (noise.inside == 0 && noise.outside == 0) {
    throw ConfigError("loss.noise.inside = 0 and loss.noise.outside = 0: expected one above 0");
  }
  color.validate_term("loss.color");
  perceptual.multi_scale.validate_term("loss.perceptual.multi_scale");
  perceptual.lpips.validate_term("loss.perceptual.lpips");
  adversarial.learning().validate_term("loss.adversarial");
  const auto& file = perceptual.lpips.weights;
  if (perceptual.lpips.weight > 0 && !std::filesystem::is_regular_file(file)) {
    throw ConfigError("loss.perceptual.lpips.weights = '" + file +
                      "': expected a file that eval/make_lpips_weights.py wrote");
  }
  if (!decoder.empty() && !std::filesystem::is_directory(decoder)) {
    throw ConfigError("loss.decoder = '" + decoder + "': expected the folder of an autoencoder");
  }
}

}  // namespace limewash::trainer
