#include "trainer/objective.h"

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

/// The rows that weigh anything.
std::vector<int64_t> counted_rows(const at::Tensor& weights) {
  std::vector<int64_t> rows;
  const auto host = weights.to(torch::kCPU);
  for (int64_t row = 0; row < host.size(0); ++row) {
    if (host[row].item<float>() > 0) rows.push_back(row);
  }
  return rows;
}

at::Tensor select(const at::Tensor& tensor, const std::vector<int64_t>& rows) {
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
  std::vector<LossTerm> terms{{"noise", 1.0, {}}, {"color", options_.color.weight, {}}};
  const auto add = [&](const char* name, double weight) {
    if (weight > 0) terms.push_back({name, weight, {}});
  };
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
  return options_.color.counts(sample.timestep, step) && !sample.drop_reference;
}

LossScale Objective::scale(const BatchSource& source,
                           const std::vector<StreamSample>& samples,
                           int64_t step) const {
  return scale(
      source.noise_weight_total(samples, options_.noise),
      [&source](const StreamSample& sample) { return source.has_core(sample); },
      samples,
      step);
}

LossScale Objective::scale(double noise_weight,
                           const std::function<bool(const StreamSample&)>& has_core,
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
    if (counts_color(sample, step) && has_core(sample)) scale.color_weight += sample.quality;
    add(perceptual.multi_scale, scale.multi_scale_weight);
    add(perceptual.lpips, scale.lpips_weight);
    add(adversarial, scale.adversarial_weight);
    add(learning, scale.discriminator_weight);
  }
  return scale;
}

Objective::RowWeights Objective::row_weights(const TermOptions& term,
                                             const MicroBatch& batch,
                                             const std::vector<StreamSample>& samples,
                                             int64_t first,
                                             int64_t step) const {
  const bool of_color = &term == &options_.color;
  std::vector<float> counts;
  for (int64_t row = 0; row < batch.z0.size(0); ++row) {
    const auto& sample = samples.at(static_cast<size_t>(first + row));
    // A sample without its reference was not told the colour.
    const bool untold = of_color && sample.drop_reference;
    counts.push_back(term.counts(sample.timestep, step) && !untold ? 1.0F : 0.0F);
  }
  auto counted = torch::tensor(counts).to(parts_.device) * batch.quality;
  if (of_color) counted = counted * (batch.core.sum({1, 2, 3}) > 0).to(torch::kFloat);
  if (term.timestep_weight == "alpha_bar") {
    counted = counted *
              parts_.schedule.alphas_cumprod().to(parts_.device).index_select(0, batch.timesteps);
  }
  // A GPU is not waited for: there, rows without any core count with a weight of 0.
  const bool any = parts_.device.is_cpu()
                       ? (counted > 0).any().item<bool>()
                       : std::any_of(counts.begin(), counts.end(), [](float c) { return c > 0; });
  return {counted, any};
}

at::Tensor Objective::noise_term(const MicroBatch& batch,
                                 const at::Tensor& output,
                                 const LossScale& scale) const {
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
  return (error * pixel_weight).sum() / std::max(scale.noise_weight, 1e-12);
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
  const auto rows = counted_rows(weights);
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
  const auto rows = counted_rows(weights);
  const auto [predicted, target] = prediction.crops(rows);
  return weighted(multi_scale_distance(predicted, target, options.levels), select(weights, rows));
}

at::Tensor Objective::lpips_term(const Prediction& prediction, const at::Tensor& weights) const {
  const auto rows = counted_rows(weights);
  const auto [predicted, target] = prediction.crops(rows);
  return weighted(parts_.lpips->distance(predicted, target), select(weights, rows));
}

LossTerms Objective::operator()(const MicroBatch& batch,
                                const std::vector<StreamSample>& samples,
                                int64_t first,
                                const at::Tensor& z_t,
                                const at::Tensor& output,
                                const LossScale& scale,
                                int64_t step) const {
  LossTerms result;
  result.terms.push_back({"noise", 1.0, noise_term(batch, output, scale)});
  result.total = result.terms.back().value;

  std::optional<Prediction> prediction;
  const auto predicted = [&]() -> const Prediction& {
    if (!prediction) {
      prediction.emplace(Prediction{batch,
                                    parts_.schedule.predict_z0(z_t, output, batch.timesteps),
                                    parts_.decoder,
                                    options_.crop,
                                    {}});
      for (int64_t row = 0; options_.decodes() && row < batch.z0.size(0); ++row) {
        const auto& sample = samples.at(static_cast<size_t>(first + row));
        prediction->places.push_back(
            crop_place(parts_.seed, sample, batch.core[row][0], options_.crop));
      }
    }
    return *prediction;
  };
  const auto add =
      [&](const char* name, const TermOptions& term, double denominator, const auto& sum_of_rows) {
        auto value = torch::zeros({}, parts_.device);
        const auto [weights, any] = row_weights(term, batch, samples, first, step);
        if (denominator > 0 && any) {
          value = sum_of_rows(weights) / denominator;
          result.total = result.total + term.weight * value;
        }
        result.terms.push_back({name, term.weight, value});
      };

  add("color", options_.color, scale.color_weight, [&](const at::Tensor& weights) {
    return color_term(predicted(), weights);
  });
  const auto& perceptual = options_.perceptual;
  if (perceptual.multi_scale.weight > 0) {
    add("multi_scale",
        perceptual.multi_scale,
        scale.multi_scale_weight,
        [&](const at::Tensor& weights) { return multi_scale_term(predicted(), weights); });
  }
  if (perceptual.lpips.weight > 0) {
    add("lpips", perceptual.lpips, scale.lpips_weight, [&](const at::Tensor& weights) {
      return lpips_term(predicted(), weights);
    });
  }
  const auto& adversarial = options_.adversarial;
  if (adversarial.wall > 0) {
    add("adversarial_wall",
        adversarial.term(adversarial.wall),
        scale.adversarial_weight,
        [&](const at::Tensor& weights) {
          return weighted(adversary_->wall_term(predicted().z0, batch.z0, batch.mask), weights);
        });
  }
  if (adversarial.paint > 0) {
    add("adversarial_paint",
        adversarial.term(adversarial.paint),
        scale.adversarial_weight,
        [&](const at::Tensor& weights) {
          return weighted(adversary_->paint_term(predicted().z0), weights);
        });
  }
  return result;
}

Adversary::Losses Objective::teach(const MicroBatch& batch,
                                   const at::Tensor& z_t,
                                   const at::Tensor& output,
                                   const LossScale& scale,
                                   int64_t step) const {
  if (scale.discriminator_weight <= 0) return {};
  const auto predicted = parts_.schedule.predict_z0(z_t, output.detach(), batch.timesteps).detach();
  const auto weights =
      row_weights(options_.adversarial.learning(), batch, batch.samples, 0, step).weights /
      scale.discriminator_weight;
  return adversary_->learn(predicted, batch.z0, batch.mask, batch.core, weights);
}

std::vector<double> Objective::gradient_squares(const LossTerms& terms,
                                                const at::Tensor& output) const {
  std::vector<double> squares;
  for (const auto& term : terms.terms) {
    double square = 0;
    if (term.value.requires_grad()) {
      const auto gradient = torch::autograd::grad({term.weight * term.value},
                                                  {output},
                                                  {},
                                                  /*retain_graph=*/true);
      square = gradient[0].square().sum().item<double>();
    }
    squares.push_back(square);
  }
  return squares;
}

}  // namespace limewash::trainer
