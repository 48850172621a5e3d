#include "eval/evaluator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <span>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "data/image_io.h"
#include "data/mask.h"
#include "eval/case_pictures.h"
#include "eval/color_metrics.h"
#include "eval/evaluation_files.h"
#include "eval/evaluation_photo.h"
#include "eval/evaluation_records.h"
#include "eval/figures.h"
#include "eval/gathered_records.h"
#include "eval/lab_image.h"
#include "eval/painting_plan.h"
#include "eval/palette.h"
#include "eval/perceptual_networks.h"
#include "eval/picture_grid.h"
#include "inference/inpaint_pipeline.h"
#include "runtime/error.h"
#include "runtime/progress.h"
#include "runtime/stop_signal.h"

namespace limewash::eval {
namespace {

constexpr int64_t kGridPhotos = 8;
/// Of the seam, where `evaluation.paste` is on.
constexpr int64_t kPasteFeather = 2;
/// Of which one is what a dataset is judged by.
constexpr std::array<const char*, 2> kCaseFigures = {"delta_e_2000", "delta_e_2000_exact"};

/// Paintings that are made together, and what the network is told of them. All of one size.
struct Batch {
  std::vector<int64_t> paintings;  ///< of the plan
  inference::Condition condition;  ///< without the reference, which depends on the adapter
  std::vector<data::Rgb> colors;   ///< asked for, one a painting
};

using Pictures = std::optional<std::vector<data::Image>>;  ///< nullopt: stopped

}  // namespace

struct Evaluator::Impl {
  models::BaseModel& base;
  const data::Dataset& dataset;
  data::ReferenceOptions reference;
  EvaluationOptions options;
  Communicator& communicator;
  std::vector<PlannedPainting> plan;
  std::vector<std::vector<int64_t>> all_batches;  ///< of all ranks
  std::vector<Batch> batches;                     ///< this rank's, in order
  std::map<int64_t, EvaluationPhoto> photos;      ///< by index into the dataset
  std::map<int64_t, data::Image>
      targets;  ///< exact repaint of this rank's procedural paintings, by index
  /// By what the adapter takes: [1, ...] of the swatches so far, and of a dropped reference.
  std::map<models::ReferenceFeatures, std::map<data::Rgb, at::Tensor>> features_of_color;
  std::map<models::ReferenceFeatures, at::Tensor> dropped_features;
  std::unique_ptr<PerceptualNetworks> networks;

  const EvaluationPhoto& photo_of(int64_t painting) const {
    return photos.at(plan[painting].photo);
  }
  void prepare_batch(const std::vector<int64_t>& paintings, const at::Tensor& text);
  at::Tensor encode_colors(std::span<const data::Rgb> colors, models::ReferenceFeatures features);
  data::Image target_of(int64_t painting, const EvaluationPhoto& photo) const;
  Metrics measure(int64_t painting, const data::Image& output) const;

  /// How a control or an adapter makes the pictures of a batch.
  using MakePictures = std::function<Pictures(const Batch&)>;
  Pictures paint(const Batch& batch,
                 models::Adapter* adapter,
                 const std::vector<data::Rgb>& colors);
  Pictures paint_shuffled(const Batch& batch,
                          models::Adapter& adapter,
                          const std::vector<int64_t>& other);
  Pictures recolor(const Batch& batch) const;
  Pictures round_trip(const Batch& batch);
  void paste(const Batch& batch, std::vector<data::Image>& pictures) const;

  struct Measured {
    std::vector<Metrics> records;             ///< of all paintings, by plan
    std::map<int64_t, data::Image> pictures;  ///< those that were to be kept
  };
  std::optional<Measured> measure_all(const std::string& title,
                                      const MakePictures& make,
                                      const std::set<int64_t>& keep);
  /// Paint, measure and write; `method` and `title` are those of the files.
  std::optional<EvaluationResult> evaluate(const std::string& progress,
                                           const std::string& method,
                                           const std::string& title,
                                           std::optional<int64_t> step,
                                           const std::filesystem::path& folder,
                                           const MakePictures& make);
  GridRow grid_row(int64_t painting, const Measured& measured) const;
  void write_cases(const std::filesystem::path& folder, const Measured& measured) const;
};

/// What no adapter changes: holes, noise, text and the asked colours. Photos are encoded once a
/// batch, in the order of the plan, so that the batches of the VAE are the same whatever the number
/// of ranks.
void Evaluator::Impl::prepare_batch(const std::vector<int64_t>& paintings, const at::Tensor& text) {
  Batch batch;
  batch.paintings = paintings;
  std::vector<data::Image> images;
  std::vector<data::Mask> walls;
  std::vector<int64_t> row_of;  // painting of this batch -> row of the encoded photos
  int64_t last_photo = -1;
  for (const int64_t i : paintings) {
    const PlannedPainting& painting = plan[i];
    if (!photos.contains(painting.photo)) {
      photos[painting.photo] = load_evaluation_photo(dataset, painting.photo, options);
    }
    const EvaluationPhoto& photo = photos.at(painting.photo);
    if (painting.photo != last_photo) {
      images.push_back(photo.sample.image);
      walls.push_back(photo.given);
      last_photo = painting.photo;
    }
    row_of.push_back(static_cast<int64_t>(images.size()) - 1);
    batch.colors.push_back(painting.asked);
    if (photo.info.room) targets[i] = target_of(i, photo);
  }
  const inference::EncodedHoles holes = inference::encode_holes(base, reference, images, walls);
  const at::Tensor rows = torch::tensor(row_of, torch::kLong).to(holes.mask.device());
  batch.condition.mask = holes.mask.index_select(0, rows);
  batch.condition.hole_latents = holes.hole_latents.index_select(0, rows);
  const at::Tensor& latents = batch.condition.hole_latents;
  std::vector<at::Tensor> noise;
  for (const int64_t i : paintings) {
    noise.push_back(inference::painting_noise(static_cast<uint64_t>(options.seed),
                                              plan[i].name,
                                              latents.size(1),
                                              latents.size(2),
                                              latents.size(3)));
  }
  batch.condition.noise = torch::stack(noise).to(latents.device());
  batch.condition.text = text.to(latents.device());
  batches.push_back(std::move(batch));
}

/// Each colour is encoded once and alone, so that its features depend on nothing else.
at::Tensor Evaluator::Impl::encode_colors(std::span<const data::Rgb> colors,
                                          models::ReferenceFeatures features) {
  std::vector<at::Tensor> rows;
  for (const data::Rgb& color : colors) {
    at::Tensor& known = features_of_color[features][color];
    if (!known.defined()) {
      const data::Image swatch = data::render_swatch(reference,
                                                     color,
                                                     inference::kSwatchSize,
                                                     RandomStream(0, Purpose::kSwatch, 0, 0),
                                                     /*exact=*/true);
      known = inference::encode_reference_images(base, {&swatch, 1}, features);
    }
    rows.push_back(known);
  }
  return torch::cat(rows);
}

/// The photo itself for the wall's own colour, else repainted: exactly for a procedural room.
data::Image Evaluator::Impl::target_of(int64_t painting, const EvaluationPhoto& photo) const {
  if (plan[painting].own) return photo.sample.image;
  return dataset.repainted(plan[painting].photo, photo.sample, plan[painting].asked);
}

Metrics Evaluator::Impl::measure(int64_t painting, const data::Image& output) const {
  const EvaluationPhoto& photo = photo_of(painting);
  const auto exact = targets.find(painting);
  Metrics metrics = measure_painting({output,
                                      photo.sample.image,
                                      photo.sample.mask,
                                      photo.sample.core,
                                      plan[painting].asked,
                                      exact == targets.end() ? nullptr : &exact->second},
                                     networks.get());
  if (photo.mask_iou) metrics.add("mask_iou", photo.mask_iou);
  return metrics;
}

Pictures Evaluator::Impl::paint(const Batch& batch,
                                models::Adapter* adapter,
                                const std::vector<data::Rgb>& colors) {
  inference::Condition condition = batch.condition;
  if (adapter == nullptr) {
    inference::set_reference(condition, nullptr, {}, {});
  } else {
    const models::ReferenceFeatures features = adapter->reference_features();
    at::Tensor& dropped = dropped_features[features];
    if (!dropped.defined()) dropped = models::encode_dropped_reference(base, features);
    inference::set_reference(condition, adapter, encode_colors(colors, features), dropped);
  }
  Pictures pictures = inference::paint(base, {options.steps, options.guidance}, condition);
  if (pictures) paste(batch, *pictures);
  return pictures;
}

Pictures Evaluator::Impl::paint_shuffled(const Batch& batch,
                                         models::Adapter& adapter,
                                         const std::vector<int64_t>& other) {
  std::vector<data::Rgb> colors;
  for (const int64_t i : batch.paintings) colors.push_back(plan[other[i] < 0 ? i : other[i]].asked);
  Pictures pictures = paint(batch, &adapter, colors);
  // No other colour to ask for: missing.
  for (size_t i = 0; pictures && i < batch.paintings.size(); ++i) {
    if (other[batch.paintings[i]] < 0) pictures->at(i) = {};
  }
  return pictures;
}

Pictures Evaluator::Impl::recolor(const Batch& batch) const {
  std::vector<data::Image> pictures;
  for (const int64_t i : batch.paintings) {
    const EvaluationPhoto& photo = photo_of(i);
    pictures.push_back(
        data::recolor(photo.sample.image, photo.given, photo.own_color, plan[i].asked));
  }
  return pictures;
}

Pictures Evaluator::Impl::round_trip(const Batch& batch) {
  std::vector<data::Image> pictures;
  for (const int64_t i : batch.paintings) pictures.push_back(target_of(i, photo_of(i)));
  pictures = inference::round_trip(base, pictures);
  paste(batch, pictures);
  return pictures;
}

void Evaluator::Impl::paste(const Batch& batch, std::vector<data::Image>& pictures) const {
  if (!options.paste) return;
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (pictures[i].pixels.empty()) continue;
    const EvaluationPhoto& photo = photo_of(batch.paintings[i]);
    pictures[i] = inference::paste_outside(
        pictures[i], photo.sample.image, data::hole_mask(reference, photo.given), kPasteFeather);
  }
}

std::optional<Evaluator::Impl::Measured> Evaluator::Impl::measure_all(
    const std::string& title, const MakePictures& make, const std::set<int64_t>& keep) {
  const auto count = static_cast<int64_t>(all_batches.size());
  const int64_t rounds = (count + communicator.size() - 1) / communicator.size();
  std::map<int64_t, Metrics> records;
  std::map<int64_t, data::Image> kept;
  std::map<std::string, CaseKeeper> cases;
  Progress progress(title, rounds, "batches", communicator.rank() == 0);
  for (int64_t round = 0; round < rounds; ++round) {
    bool stopped = false;
    if (round < static_cast<int64_t>(batches.size())) {
      const Batch& batch = batches[round];
      const Pictures pictures = make(batch);
      stopped = !pictures;
      for (size_t i = 0; !stopped && i < batch.paintings.size(); ++i) {
        const int64_t painting = batch.paintings[i];
        const data::Image& picture = pictures->at(i);
        records[painting] = measure(painting, picture);
        if (keep.contains(painting) && !picture.pixels.empty()) kept[painting] = picture;
        for (const char* name : kCaseFigures) {
          if (!keep.empty())
            cases[name].offer(painting, records[painting].get(name).value_or(NAN), picture);
        }
      }
    }
    // All ranks meet after each batch, so that none paints on while the others wait to stop.
    if (communicator.agree_any(stopped || stop_requested())) return std::nullopt;
    progress.advance();
  }
  progress.finish();
  // The worst of all ranks are among the worst of each.
  for (auto& [name, keeper] : cases) keeper.move_into(kept);
  Measured measured;
  measured.records.resize(plan.size());
  for (const std::string& bytes : communicator.all_gather(pack_records(records)))
    unpack_records(bytes, measured.records);
  // An empty picture, which is not finite, was not kept.
  for (const std::string& bytes : communicator.all_gather(pack_pictures(kept)))
    unpack_pictures(bytes, measured.pictures);
  return measured;
}

GridRow Evaluator::Impl::grid_row(int64_t painting, const Measured& measured) const {
  const PlannedPainting& planned = plan[painting];
  // Rank 0 may have painted this photo or not: read it again.
  const EvaluationPhoto photo = load_evaluation_photo(dataset, planned.photo, options);
  const auto output = measured.pictures.find(painting);
  const auto to_reference = [&](const data::Image& image) {
    return measure_color(image, photo.sample.core, to_lab(planned.asked)).get("delta_e_2000");
  };
  GridRow row;
  row.title = photo.info.id;
  row.source = photo.sample.image;
  row.reference = planned.asked;
  row.mask = photo.given;
  row.target = target_of(painting, photo);
  row.exact = photo.info.room.has_value();
  if (output != measured.pictures.end()) row.output = output->second;
  row.delta_e_2000 = measured.records[painting].get("delta_e_2000");
  row.delta_e_2000_exact = measured.records[painting].get("delta_e_2000_exact");
  if (photo.mask_iou) row.right_mask = photo.sample.mask;
  row.source_delta_e_2000 = to_reference(row.source);
  row.target_delta_e_2000 = to_reference(row.target);
  return row;
}

std::optional<EvaluationResult> Evaluator::Impl::evaluate(const std::string& progress,
                                                          const std::string& method,
                                                          const std::string& title,
                                                          std::optional<int64_t> step,
                                                          const std::filesystem::path& folder,
                                                          const MakePictures& make) {
  const std::vector<int64_t> shown = pick_for_grid(plan, kGridPhotos);
  const auto measured = measure_all(progress, make, {shown.begin(), shown.end()});
  if (!measured) return std::nullopt;
  const Aggregate figures = aggregate(measured->records);
  const EvaluationResult result{
      step, figures.metrics, static_cast<int64_t>(plan.size()), figures.missing};
  if (communicator.rank() == 0) {
    std::filesystem::create_directories(folder);
    write_metrics(
        folder / "metrics.json", result, options, method, dataset, plan, measured->records);
    std::vector<GridRow> rows;
    for (const int64_t index : shown) rows.push_back(grid_row(index, *measured));
    data::write_png(folder / "grid.png",
                    render_grid(title + ", " + dataset.folder().filename().string(), rows));
    write_cases(folder, *measured);
  }
  return result;
}

void Evaluator::Impl::write_cases(const std::filesystem::path& folder,
                                  const Measured& measured) const {
  std::vector<nlohmann::json> records;
  for (const Metrics& record : measured.records) records.push_back(metrics_to_json(record));
  const std::string name = headline_of(metrics_to_json(aggregate(measured.records).metrics));
  const ExtremeCases cases = extreme_cases(records, name, kCasePictures);
  std::filesystem::create_directories(folder / "cases");
  for (const auto* indices : {&cases.worst, &cases.best}) {
    for (const size_t index : *indices) {
      const auto painting = static_cast<int64_t>(index);
      const auto output = measured.pictures.find(painting);
      if (output == measured.pictures.end()) continue;
      const EvaluationPhoto photo = load_evaluation_photo(dataset, plan[index].photo, options);
      data::write_encoded(
          folder / case_picture_path(painting),
          case_strip(
              photo.sample.image, plan[index].asked, output->second, target_of(painting, photo)));
    }
  }
}

Evaluator::Evaluator(models::BaseModel& base,
                     const data::Dataset& dataset,
                     const data::ReferenceOptions& reference,
                     const EvaluationOptions& options,
                     Communicator& communicator)
    : impl_(new Impl{base,
                     dataset,
                     reference,
                     options,
                     communicator,
                     {},
                     {},
                     {},
                     {},
                     {},
                     {},
                     {},
                     std::make_unique<PerceptualNetworks>(options.lpips, base)}) {
  if (dataset.size() == 0) {
    throw InputError(dataset.folder().string() + ": no sample to evaluate on");
  }
  impl_->plan =
      plan_paintings(options,
                     std::min(options.photos, dataset.size()),
                     [&](int64_t index) -> const data::SampleInfo& { return dataset.info(index); });
  if (impl_->plan.empty()) throw ConfigError("evaluation: no reference to ask for");
  impl_->all_batches = cut_batches(
      impl_->plan, options.batch, [&](int64_t photo) { return dataset.info(photo).bucket; });
  const at::Tensor text = models::encode_empty_prompt(base);
  for (size_t b = communicator.rank(); b < impl_->all_batches.size(); b += communicator.size()) {
    impl_->prepare_batch(impl_->all_batches[b], text);
  }
}

Evaluator::~Evaluator() = default;

std::optional<EvaluationResult> Evaluator::evaluate(std::optional<int64_t> step,
                                                    models::Adapter* adapter,
                                                    const std::filesystem::path& folder,
                                                    const std::string& title) {
  const std::string of_step =
      adapter == nullptr ? "base alone" : "step " + std::to_string(step.value_or(0));
  return impl_->evaluate(
      "evaluate " + (title.empty() ? "step " + std::to_string(step.value_or(0)) : title),
      adapter == nullptr ? "base" : "adapter",
      title.empty() ? of_step : title,
      step,
      folder,
      [&](const Batch& batch) { return impl_->paint(batch, adapter, batch.colors); });
}

const char* baseline_name(Baseline baseline) {
  return baseline == Baseline::kRecolored ? "recolored_without_network" : "floor";
}

std::optional<EvaluationResult> Evaluator::evaluate(Baseline baseline,
                                                    const std::filesystem::path& folder) {
  const bool recolored = baseline == Baseline::kRecolored;
  const std::string title = recolored ? "recoloured without a network" : "floor of the VAE";
  return impl_->evaluate("evaluate " + title,
                         baseline_name(baseline),
                         title,
                         std::nullopt,
                         folder,
                         [&](const Batch& batch) {
                           return recolored ? impl_->recolor(batch) : impl_->round_trip(batch);
                         });
}

std::optional<Metrics> Evaluator::shuffled_reference(models::Adapter& adapter) {
  const std::vector<int64_t> other = shuffle_references(impl_->plan);
  const auto measured = impl_->measure_all(
      "control: shuffled reference",
      [&](const Batch& batch) { return impl_->paint_shuffled(batch, adapter, other); },
      {});
  if (!measured) return std::nullopt;
  return aggregate(measured->records).metrics;
}

std::optional<Controls> Evaluator::controls(models::Adapter& adapter) {
  const auto shuffled = shuffled_reference(adapter);
  if (!shuffled) return std::nullopt;
  const auto recolored =
      impl_->measure_all("control: recoloured without a network",
                         [&](const Batch& batch) { return impl_->recolor(batch); },
                         {});
  if (!recolored) return std::nullopt;
  const auto floor =
      impl_->measure_all("control: floor of the VAE",
                         [&](const Batch& batch) { return impl_->round_trip(batch); },
                         {});
  if (!floor) return std::nullopt;
  return Controls{
      *shuffled, aggregate(recolored->records).metrics, aggregate(floor->records).metrics};
}

}  // namespace limewash::eval
