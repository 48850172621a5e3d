#include "trainer/objective.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <torch/torch.h>

#include "trainer/multi_scale_loss.h"
#include "trainer/noise_loss.h"

namespace limewash::trainer {

namespace {

struct Crops {
  at::Tensor predicted, target;
};

/// The places of LossScale::denominators.
enum Denominator : int64_t {
  kNoiseWeight,
  kColorWeight,
  kMultiScaleWeight,
  kLpipsWeight,
  kAdversarialWeight,
  kDiscriminatorWeight
};

/// Rows of samples for which `counts` holds.
template <typename Counts>
std::vector<int64_t> counted_rows(const std::vector<StreamSample>& samples, const Counts& counts) {
  std::vector<int64_t> rows;
  for (size_t row = 0; row < samples.size(); ++row) {
    if (counts(samples[row])) rows.push_back(static_cast<int64_t>(row));
  }
  return rows;
}

/// Whether a term that has started counts a sample.
auto in_window(const TermOptions& term) {
  return [&term](const StreamSample& sample) { return term.counts_timestep(sample.timestep); };
}

/// Whether the colour loss can count a sample: one without its reference was not told the colour.
bool has_color(const StreamSample& sample) {
  return sample.has_core && !sample.drop_reference;
}

at::Tensor select(const at::Tensor& tensor, const std::vector<int64_t>& rows) {
  TORCH_CHECK(!rows.empty(), "objective: a term that decodes was asked for none of the samples");
  if (static_cast<int64_t>(rows.size()) == tensor.size(0)) return tensor;
  return tensor.index_select(0, torch::tensor(rows).to(tensor.device()));
}

/// The sum of `rows` [N] by their weights.
at::Tensor weighted(const at::Tensor& rows, const at::Tensor& weights) {
  return (rows * weights).sum();
}

}  // namespace

/// The predicted z_0 of a micro-batch, and the crops that the decoding terms share.
struct Objective::Prediction {
  const MicroBatch& batch;
  at::Tensor z0;  ///< [N, C, h, w]
  models::Autoencoder* decoder;
  int64_t side;
  std::vector<CropPlace> places;
  mutable std::map<int64_t, Crops> decoded{};  ///< by row, [1, 3, H, W] each

  /// The crops of some rows, [R, ...].
  at::Tensor cut(const at::Tensor& tensor, const std::vector<int64_t>& rows) const {
    std::vector<CropPlace> chosen;
    for (const int64_t row : rows) chosen.push_back(places[static_cast<size_t>(row)]);
    return cut_crops(select(tensor, rows), chosen, side);
  }

  /// Predicted and target crops of some rows in pixels, each decoded once.
  Crops crops(const std::vector<int64_t>& rows) const {
    std::vector<int64_t> missing;
    for (const int64_t row : rows) {
      if (!decoded.contains(row)) missing.push_back(row);
    }
    if (!missing.empty()) {
      const auto predicted = decode_with_gradient(*decoder, cut(z0, missing));
      const torch::NoGradGuard no_grad;
      const auto target = decode_with_gradient(*decoder, cut(batch.z0, missing));
      for (size_t i = 0; i < missing.size(); ++i) {
        const auto place = static_cast<int64_t>(i);
        const torch::AutoGradMode with_gradient(true);
        decoded[missing[i]] = {predicted.narrow(0, place, 1), target.narrow(0, place, 1)};
      }
    }
    std::vector<at::Tensor> predicted, target;
    for (const int64_t row : rows) {
      predicted.push_back(decoded.at(row).predicted);
      target.push_back(decoded.at(row).target);
    }
    return {torch::cat(predicted), torch::cat(target)};
  }
};

at::Tensor LossScale::denominators(bool pinned) const {
  auto tensor = torch::empty({6}, torch::TensorOptions().pinned_memory(pinned));
  auto* next = tensor.data_ptr<float>();
  for (const double weight : {noise_weight,
                              color_weight,
                              multi_scale_weight,
                              lpips_weight,
                              adversarial_weight,
                              discriminator_weight})
    *next++ = static_cast<float>(std::max(weight, 1e-12));
  return tensor;
}

std::string TermSelection::names() const {
  std::string text;
  const auto add = [&text](bool selected, const char* name) {
    if (selected) text += (text.empty() ? "" : ", ") + std::string(name);
  };
  add(color, "color");
  add(multi_scale, "multi_scale");
  add(lpips, "lpips");
  add(adversarial, "adversarial");
  add(discriminators, "discriminators");
  return text;
}

at::Tensor LossTerms::value(const std::string& name) const {
  for (const auto& term : terms) {
    if (term.name == name) return term.value.detach();
  }
  TORCH_INTERNAL_ASSERT(false, "no loss term ", name);
}

Objective::Objective(const LossOptions& options, ObjectiveParts parts)
    : options_(options),
      parts_(std::move(parts)),
      latent_color_(parts_.latent_to_rgb, parts_.device) {
  TORCH_CHECK(parts_.decoder != nullptr || !options.decodes(), "objective: no decoder");
  TORCH_CHECK(parts_.lpips != nullptr || options.perceptual.lpips.weight == 0,
              "objective: no LPIPS weights");
  const auto channels = static_cast<int64_t>(parts_.latent_to_rgb.size() / 3) - 1;
  if (options.adversarial.on())
    adversary_ =
        std::make_shared<Adversary>(options.adversarial, channels, parts_.seed, parts_.device);
}

std::vector<LossTerm> Objective::terms() const {
  std::vector<LossTerm> terms{{"noise", 1.0, {}}};
  const auto add = [&](const char* name, double weight) {
    if (weight > 0) terms.push_back({name, weight, {}});
  };
  add("color", options_.color.weight);
  add("multi_scale", options_.perceptual.multi_scale.weight);
  add("lpips", options_.perceptual.lpips.weight);
  add("adversarial_wall", options_.adversarial.wall);
  add("adversarial_paint", options_.adversarial.paint);
  return terms;
}

Adversary* Objective::adversary() const {
  return adversary_.get();
}

bool Objective::counts_color(const StreamSample& sample, int64_t step) const {
  return options_.color.counts(sample.timestep, step) && has_color(sample);
}

LossScale Objective::scale(double noise_weight,
                           const std::vector<StreamSample>& samples,
                           int64_t step) const {
  LossScale scale;
  scale.noise_weight = noise_weight;
  const auto& perceptual = options_.perceptual;
  const auto learning = options_.adversarial.learning();
  const auto adversarial = options_.adversarial.term(learning.weight);
  for (const auto& sample : samples) {
    const auto add = [&](const TermOptions& term, double& sum) {
      if (term.counts(sample.timestep, step)) sum += sample.quality;
    };
    if (counts_color(sample, step)) scale.color_weight += sample.quality;
    add(perceptual.multi_scale, scale.multi_scale_weight);
    add(perceptual.lpips, scale.lpips_weight);
    add(adversarial, scale.adversarial_weight);
    add(learning, scale.discriminator_weight);
  }
  return scale;
}

TermSelection Objective::started_terms(int64_t step) const {
  const auto learning = options_.adversarial.learning();
  return {options_.color.has_started(step),
          options_.perceptual.multi_scale.has_started(step),
          options_.perceptual.lpips.has_started(step),
          options_.adversarial.term(learning.weight).has_started(step),
          learning.has_started(step)};
}

TermSelection Objective::counted_terms(const std::vector<StreamSample>& samples,
                                       int64_t step) const {
  auto selection = started_terms(step);
  const auto narrow = [&samples](bool& selected, const auto& counts) {
    selected = selected && !counted_rows(samples, counts).empty();
  };
  narrow(selection.color, [&](const StreamSample& sample) { return counts_color(sample, step); });
  narrow(selection.multi_scale, in_window(options_.perceptual.multi_scale));
  narrow(selection.lpips, in_window(options_.perceptual.lpips));
  const auto adversarial = options_.adversarial.learning();
  narrow(selection.adversarial, in_window(adversarial));
  narrow(selection.discriminators, in_window(adversarial));
  return selection;
}

at::Tensor Objective::row_weights(const TermOptions& term, const MicroBatch& batch) const {
  auto weights = batch.quality;
  if (term.timestep_low > 0 || term.timestep_high < parts_.schedule.config().num_train_timesteps) {
    weights = weights * batch.timesteps.ge(term.timestep_low)
                            .logical_and(batch.timesteps.lt(term.timestep_high))
                            .to(torch::kFloat);
  }
  if (&term == &options_.color)
    weights = weights * batch.told * (batch.core.sum({1, 2, 3}) > 0).to(torch::kFloat);
  if (term.timestep_weight == "alpha_bar") {
    weights =
        weights * parts_.schedule.alphas_cumprod(parts_.device).index_select(0, batch.timesteps);
  }
  return weights;
}

at::Tensor Objective::noise_term(const MicroBatch& batch, const at::Tensor& output) const {
  const auto target = parts_.schedule.training_target(batch.z0, batch.noise, batch.timesteps);
  auto pixel_weight =
      (batch.mask * options_.noise.inside + (1 - batch.mask) * options_.noise.outside) *
      batch.quality.view({-1, 1, 1, 1});
  if (options_.noise.min_snr_gamma > 0) {
    pixel_weight = pixel_weight *
                   min_snr_weight(parts_.schedule, batch.timesteps, options_.noise.min_snr_gamma)
                       .view({-1, 1, 1, 1});
  }
  const auto error = output_error(
      options_.noise, parts_.schedule, output, target, batch.timesteps);  // [N, 1, h, w]
  return (error * pixel_weight).sum();
}

at::Tensor Objective::color_term(const Prediction& prediction, const at::Tensor& weights) const {
  const auto& batch = prediction.batch;
  const bool to_target = options_.color.anchor == "target";
  if (options_.color.path == "linear") {
    const auto predicted = latent_color_.region_lab(prediction.z0, batch.core);
    const auto anchor =
        to_target ? latent_color_.region_lab(batch.z0, batch.core).detach() : batch.asked_lab;
    return weighted(color_distance(predicted, anchor), weights);
  }
  const auto rows = counted_rows(batch.samples, [this](const StreamSample& sample) {
    return options_.color.counts_timestep(sample.timestep) && has_color(sample);
  });
  const bool cropped = options_.color.path == "crop";
  const auto core = cropped ? prediction.cut(batch.core, rows) : select(batch.core, rows);
  Crops pixels;
  if (cropped) {
    pixels = prediction.crops(rows);
  } else {
    pixels.predicted = decode_with_gradient(*prediction.decoder, select(prediction.z0, rows));
    const torch::NoGradGuard no_grad;
    if (to_target)
      pixels.target = decode_with_gradient(*prediction.decoder, select(batch.z0, rows));
  }
  const auto predicted = decoded_region_lab(pixels.predicted, core);
  const auto anchor =
      to_target ? decoded_region_lab(pixels.target, core) : select(batch.asked_lab, rows);
  return weighted(color_distance(predicted, anchor), select(weights, rows));
}

at::Tensor Objective::multi_scale_term(const Prediction& prediction,
                                       const at::Tensor& weights) const {
  const auto& options = options_.perceptual.multi_scale;
  if (options.on == "latents") {
    return weighted(multi_scale_distance(prediction.z0, prediction.batch.z0, options.levels),
                    weights);
  }
  const auto rows = counted_rows(prediction.batch.samples, in_window(options));
  const auto [predicted, target] = prediction.crops(rows);
  return weighted(multi_scale_distance(predicted, target, options.levels), select(weights, rows));
}

at::Tensor Objective::lpips_term(const Prediction& prediction, const at::Tensor& weights) const {
  const auto rows = counted_rows(prediction.batch.samples, in_window(options_.perceptual.lpips));
  const auto [predicted, target] = prediction.crops(rows);
  return weighted(parts_.lpips->distance(predicted, target), select(weights, rows));
}

LossTerms Objective::operator()(const MicroBatch& batch,
                                const at::Tensor& z_t,
                                const at::Tensor& output,
                                const at::Tensor& denominators,
                                const TermSelection& selection) const {
  LossTerms result;
  result.terms.push_back({"noise", 1.0, noise_term(batch, output) / denominators[kNoiseWeight]});
  result.total = result.terms.back().value;

  std::optional<Prediction> prediction;
  const auto predicted = [&]() -> const Prediction& {
    if (!prediction) {
      prediction.emplace(Prediction{batch,
                                    parts_.schedule.predict_z0(z_t, output, batch.timesteps),
                                    parts_.decoder,
                                    options_.crop,
                                    {}});
      const auto& core = batch.core_on_host.defined() ? batch.core_on_host : batch.core;
      for (size_t row = 0; options_.decodes() && row < batch.samples.size(); ++row) {
        prediction->places.push_back(crop_place(
            parts_.seed, batch.samples[row], core[static_cast<int64_t>(row)][0], options_.crop));
      }
    }
    return *prediction;
  };
  const auto add = [&](const char* name,
                       const TermOptions& term,
                       bool selected,
                       Denominator denominator,
                       const auto& sum_of_rows) {
    auto value = torch::zeros({}, parts_.device);
    if (selected) {
      value = sum_of_rows(row_weights(term, batch)) / denominators[denominator];
      result.total = result.total + term.weight * value;
    }
    result.terms.push_back({name, term.weight, value});
  };

  if (options_.color.weight > 0) {
    add("color", options_.color, selection.color, kColorWeight, [&](const at::Tensor& weights) {
      return color_term(predicted(), weights);
    });
  }
  const auto& perceptual = options_.perceptual;
  if (perceptual.multi_scale.weight > 0) {
    add("multi_scale",
        perceptual.multi_scale,
        selection.multi_scale,
        kMultiScaleWeight,
        [&](const at::Tensor& weights) { return multi_scale_term(predicted(), weights); });
  }
  if (perceptual.lpips.weight > 0) {
    add("lpips", perceptual.lpips, selection.lpips, kLpipsWeight, [&](const at::Tensor& weights) {
      return lpips_term(predicted(), weights);
    });
  }
  const auto& adversarial = options_.adversarial;
  if (adversarial.wall > 0) {
    add("adversarial_wall",
        adversarial.term(adversarial.wall),
        selection.adversarial,
        kAdversarialWeight,
        [&](const at::Tensor& weights) {
          return weighted(adversary_->wall_term(predicted().z0, batch.z0, batch.mask), weights);
        });
  }
  if (adversarial.paint > 0) {
    add("adversarial_paint",
        adversarial.term(adversarial.paint),
        selection.adversarial,
        kAdversarialWeight,
        [&](const at::Tensor& weights) {
          return weighted(adversary_->paint_term(predicted().z0), weights);
        });
  }
  return result;
}

Adversary::Losses Objective::teach(const MicroBatch& batch,
                                   const at::Tensor& z_t,
                                   const at::Tensor& output,
                                   const at::Tensor& denominators,
                                   const TermSelection& selection) const {
  if (!selection.discriminators) return {};
  const auto predicted = parts_.schedule.predict_z0(z_t, output.detach(), batch.timesteps).detach();
  const auto weights =
      row_weights(options_.adversarial.learning(), batch) / denominators[kDiscriminatorWeight];
  return adversary_->learn(predicted, batch.z0, batch.mask, batch.core, weights);
}

std::vector<at::Tensor> Objective::gradient_squares(const LossTerms& terms,
                                                    const at::Tensor& output) const {
  std::vector<at::Tensor> squares;
  for (const auto& term : terms.terms) {
    if (!term.value.requires_grad()) {
      squares.push_back(torch::zeros({}, output.options()));
      continue;
    }
    const auto gradient = torch::autograd::grad({term.weight * term.value},
                                                {output},
                                                {},
                                                /*retain_graph=*/true);
    squares.push_back(gradient[0].square().sum());
  }
  return squares;
}

}  // namespace limewash::trainer
