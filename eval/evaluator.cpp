#include "eval/evaluator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "data/image_io.h"
#include "eval/case_pictures.h"
#include "eval/color_metrics.h"
#include "eval/evaluation_files.h"
#include "eval/evaluation_painter.h"
#include "eval/evaluation_photo.h"
#include "eval/evaluation_records.h"
#include "eval/figures.h"
#include "eval/gathered_records.h"
#include "eval/lab_image.h"
#include "eval/painting_plan.h"
#include "eval/palette.h"
#include "eval/perceptual_networks.h"
#include "eval/picture_grid.h"
#include "runtime/error.h"
#include "runtime/progress.h"
#include "runtime/stop_signal.h"

namespace limewash::eval {
namespace {

constexpr int64_t kGridPhotos = 8;
/// Of which one is what a dataset is judged by.
constexpr std::array<const char*, 2> kCaseFigures = {"delta_e_2000", "delta_e_2000_exact"};

}  // namespace

struct Evaluator::Impl {
  const data::Dataset& dataset_;
  const data::ReferenceOptions reference_;
  const EvaluationOptions options_;
  Communicator& communicator_;
  const std::vector<PlannedPainting> plan_;
  const std::vector<std::vector<int64_t>> all_batches_;  ///< of all ranks
  EvaluationPainter painter_;                            ///< of this rank's batches
  PerceptualNetworks networks_;
  bool shows_progress_ = true;

  Impl(models::BaseModel& base,
       const data::Dataset& dataset,
       const data::ReferenceOptions& reference,
       const EvaluationOptions& options,
       Communicator& communicator);
  Metrics measure(int64_t painting, const data::Image& output);

  /// How a control or an adapter makes the pictures of a batch.
  using MakePictures = std::function<Pictures(const PaintingBatch&)>;

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

Evaluator::Impl::Impl(models::BaseModel& base,
                      const data::Dataset& dataset,
                      const data::ReferenceOptions& reference,
                      const EvaluationOptions& options,
                      Communicator& communicator)
    : dataset_(dataset),
      reference_(reference),
      options_(options),
      communicator_(communicator),
      plan_(plan_paintings(
          options,
          std::min(options.photos, dataset.size()),
          [&](int64_t index) -> const data::SampleInfo& { return dataset.info(index); })),
      all_batches_(cut_batches(
          plan_, options.batch, [&](int64_t photo) { return dataset.info(photo).bucket; })),
      painter_(base, dataset, reference_, options_, plan_),
      networks_(options.lpips, base) {
  if (dataset.size() == 0) {
    throw InputError(dataset.folder().string() + ": no sample to evaluate on");
  }
  if (plan_.empty()) throw ConfigError("evaluation: no reference to ask for");
  for (size_t b = communicator.rank(); b < all_batches_.size(); b += communicator.size()) {
    painter_.prepare_batch(all_batches_[b]);
  }
}

Metrics Evaluator::Impl::measure(int64_t painting, const data::Image& output) {
  const EvaluationPhoto& photo = painter_.photo_of(painting);
  Metrics metrics = measure_painting({output,
                                      photo.sample.image,
                                      photo.sample.mask,
                                      photo.sample.core,
                                      plan_[painting].asked,
                                      painter_.exact_target(painting)},
                                     &networks_);
  if (photo.mask_iou) metrics.add("mask_iou", photo.mask_iou);
  return metrics;
}

std::optional<Evaluator::Impl::Measured> Evaluator::Impl::measure_all(
    const std::string& title, const MakePictures& make, const std::set<int64_t>& keep) {
  const auto count = static_cast<int64_t>(all_batches_.size());
  const int64_t rounds = (count + communicator_.size() - 1) / communicator_.size();
  std::map<int64_t, Metrics> records;
  std::map<int64_t, data::Image> kept;
  std::map<std::string, CaseKeeper> cases;
  Progress progress(title, rounds, "batches", shows_progress_ && communicator_.rank() == 0);
  for (int64_t round = 0; round < rounds; ++round) {
    bool stopped = false;
    if (round < static_cast<int64_t>(painter_.batches().size())) {
      const PaintingBatch& batch = painter_.batches()[round];
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
    if (communicator_.agree_any(stopped || stop_requested())) return std::nullopt;
    progress.advance();
  }
  progress.finish();
  // The worst of all ranks are among the worst of each.
  for (auto& [name, keeper] : cases) keeper.move_into(kept);
  Measured measured;
  measured.records.resize(plan_.size());
  for (const std::string& bytes : communicator_.all_gather(pack_records(records)))
    unpack_records(bytes, measured.records);
  // An empty picture, which is not finite, was not kept.
  for (const std::string& bytes : communicator_.all_gather(pack_pictures(kept)))
    unpack_pictures(bytes, measured.pictures);
  return measured;
}

GridRow Evaluator::Impl::grid_row(int64_t painting, const Measured& measured) const {
  const PlannedPainting& planned = plan_[painting];
  // Rank 0 may have painted this photo or not: read it again.
  const EvaluationPhoto photo = load_evaluation_photo(dataset_, planned.photo, options_);
  const auto output = measured.pictures.find(painting);
  const auto to_reference = [&](const data::Image& image) {
    return measure_color(image, photo.sample.core, to_lab(planned.asked)).get("delta_e_2000");
  };
  GridRow row;
  row.title = photo.info.id;
  row.source = photo.sample.image;
  row.reference = planned.asked;
  row.mask = photo.given;
  row.target = painter_.target_of(painting, photo);
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
  const std::vector<int64_t> shown = pick_for_grid(plan_, kGridPhotos);
  const auto measured = measure_all(progress, make, {shown.begin(), shown.end()});
  if (!measured) return std::nullopt;
  const Aggregate figures = aggregate(measured->records);
  const EvaluationResult result{
      step, figures.metrics, static_cast<int64_t>(plan_.size()), figures.missing};
  if (communicator_.rank() == 0) {
    std::filesystem::create_directory(folder);
    write_metrics(folder / "metrics.json",
                  result,
                  options_,
                  networks_.lpips_network(),
                  method,
                  dataset_,
                  plan_,
                  measured->records);
    std::vector<GridRow> rows;
    for (const int64_t index : shown) rows.push_back(grid_row(index, *measured));
    data::write_png(folder / "grid.png",
                    render_grid(title + ", " + dataset_.folder().filename().string(), rows));
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
  std::filesystem::create_directory(folder / "cases");
  for (const auto* indices : {&cases.worst, &cases.best}) {
    for (const size_t index : *indices) {
      const auto painting = static_cast<int64_t>(index);
      const auto output = measured.pictures.find(painting);
      if (output == measured.pictures.end()) continue;
      const EvaluationPhoto photo = load_evaluation_photo(dataset_, plan_[index].photo, options_);
      data::write_encoded(folder / case_picture_path(painting),
                          case_strip(photo.sample.image,
                                     plan_[index].asked,
                                     output->second,
                                     painter_.target_of(painting, photo)));
    }
  }
}

Evaluator::Evaluator(models::BaseModel& base,
                     const data::Dataset& dataset,
                     const data::ReferenceOptions& reference,
                     const EvaluationOptions& options,
                     Communicator& communicator)
    : impl_(new Impl(base, dataset, reference, options, communicator)) {}

Evaluator::~Evaluator() = default;

void Evaluator::hide_progress() {
  impl_->shows_progress_ = false;
}

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
      [&](const PaintingBatch& batch) { return impl_->painter_.paint(batch, adapter); });
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
                         [&](const PaintingBatch& batch) {
                           return recolored ? impl_->painter_.recolor(batch)
                                            : impl_->painter_.round_trip(batch);
                         });
}

std::optional<Metrics> Evaluator::shuffled_reference(models::Adapter& adapter) {
  const std::vector<int64_t> other = shuffle_references(impl_->plan_);
  const auto measured =
      impl_->measure_all("control: shuffled reference",
                         [&](const PaintingBatch& batch) {
                           return impl_->painter_.paint_shuffled(batch, adapter, other);
                         },
                         {});
  if (!measured) return std::nullopt;
  return aggregate(measured->records).metrics;
}

std::optional<Controls> Evaluator::controls(models::Adapter& adapter) {
  const auto shuffled = shuffled_reference(adapter);
  if (!shuffled) return std::nullopt;
  const auto recolored =
      impl_->measure_all("control: recoloured without a network",
                         [&](const PaintingBatch& batch) { return impl_->painter_.recolor(batch); },
                         {});
  if (!recolored) return std::nullopt;
  const auto floor = impl_->measure_all(
      "control: floor of the VAE",
      [&](const PaintingBatch& batch) { return impl_->painter_.round_trip(batch); },
      {});
  if (!floor) return std::nullopt;
  return Controls{
      *shuffled, aggregate(recolored->records).metrics, aggregate(floor->records).metrics};
}

}  // namespace limewash::eval
