#include "eval/evaluator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <span>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "data/image_io.h"
#include "eval/case_pictures.h"
#include "eval/color_metrics.h"
#include "eval/evaluation_files.h"
#include "eval/evaluation_records.h"
#include "eval/figures.h"
#include "eval/painting_plan.h"
#include "eval/palette.h"
#include "eval/picture_grid.h"
#include "inference/inpaint_pipeline.h"
#include "runtime/error.h"
#include "runtime/progress.h"
#include "runtime/stop_signal.h"

namespace limewash::eval {
namespace {

constexpr int64_t kGridPhotos = 8;
/// Of which one is what a dataset is judged by.
constexpr std::array<const char*, 2> kCaseFigures = {"delta_e_2000", "delta_e_2000_exact"};

/// Paintings that are made together, and what the network is told of them.
struct Batch {
  int64_t first = 0, count = 0;    ///< of the plan
  inference::Condition condition;  ///< without the reference, which depends on the adapter
  std::vector<data::Rgb> colors;   ///< asked for, [count]
};

/// A sample in memory for all paintings of its photo.
struct Photo {
  data::SampleInfo info;
  data::Sample sample;
};

std::string pack(const std::map<int64_t, Metrics>& records) {
  nlohmann::json json = nlohmann::json::array();
  for (const auto& [index, metrics] : records) {
    nlohmann::json values = nlohmann::json::array();
    for (const auto& [name, value] : metrics.values) {
      values.push_back({name, value ? nlohmann::json(*value) : nlohmann::json(nullptr)});
    }
    json.push_back({index, std::move(values)});
  }
  return json.dump();
}

void unpack(const std::string& bytes, std::vector<Metrics>& records) {
  for (const nlohmann::json& record : nlohmann::json::parse(bytes)) {
    Metrics& metrics = records.at(record.at(0).get<size_t>());
    for (const nlohmann::json& value : record.at(1)) {
      metrics.values.emplace_back(
          value.at(0).get<std::string>(),
          value.at(1).is_null() ? std::nullopt : std::optional<double>(value.at(1).get<double>()));
    }
  }
}

/// Pictures as (index, bytes) one after the other; an empty one, which is not finite, is not sent.
std::string pack(const std::map<int64_t, data::Image>& pictures) {
  std::string bytes;
  for (const auto& [index, image] : pictures) {
    bytes.append(reinterpret_cast<const char*>(&index), sizeof index);
    bytes.append(image.pixels.begin(), image.pixels.end());
  }
  return bytes;
}

void unpack(const std::string& bytes,
            int64_t height,
            int64_t width,
            std::map<int64_t, data::Image>& pictures) {
  const size_t size = static_cast<size_t>(height * width * 3);
  for (size_t at = 0; at + sizeof(int64_t) + size <= bytes.size(); at += sizeof(int64_t) + size) {
    int64_t index = 0;
    std::memcpy(&index, bytes.data() + at, sizeof index);
    const char* begin = bytes.data() + at + sizeof index;
    pictures[index] = {height, width, std::vector<uint8_t>(begin, begin + size)};
  }
}

}  // namespace

struct Evaluator::Impl {
  models::BaseModel& base;
  const data::Dataset& dataset;
  data::ReferenceOptions reference;
  EvaluationOptions options;
  Communicator& communicator;
  models::ReferenceFeatures features;
  std::vector<PlannedPainting> plan;
  std::vector<Batch> batches;       ///< this rank's, in order
  std::map<int64_t, Photo> photos;  ///< by index into the dataset
  std::map<int64_t, data::Image>
      targets;  ///< exact repaint of this rank's procedural paintings, by index
  std::map<data::Rgb, at::Tensor> features_of_color;  ///< [1, ...], of the swatches so far
  at::Tensor dropped_features;                        ///< [1, ...]

  int64_t num_batches() const {
    return (static_cast<int64_t>(plan.size()) + options.batch - 1) / options.batch;
  }
  const Photo& photo_of(int64_t painting) const {
    return photos.at(plan[painting].photo);
  }
  void prepare_batch(int64_t index, const at::Tensor& text);
  at::Tensor encode_colors(std::span<const data::Rgb> colors);
  void set_reference(inference::Condition& condition,
                     models::Adapter* adapter,
                     std::span<const data::Rgb> colors);
  data::Image target_of(int64_t painting) const;
  Metrics measure(int64_t painting, const data::Image& output) const;

  /// How a control or an adapter makes the pictures of a batch; nullopt when stopped.
  using MakePictures = std::function<std::optional<std::vector<data::Image>>(const Batch&)>;
  struct Measured {
    std::vector<Metrics> records;             ///< of all paintings, by plan
    std::map<int64_t, data::Image> pictures;  ///< those that were to be kept
  };
  std::optional<Measured> measure_all(const std::string& title,
                                      const MakePictures& make,
                                      const std::set<int64_t>& keep);
  void write_grid(const std::filesystem::path& path,
                  const std::string& title,
                  const Measured& measured) const;
  void write_cases(const std::filesystem::path& folder, const Measured& measured) const;
};

/// What no adapter changes: holes, noise, text and the asked colours. Photos are encoded once a
/// batch, in the order of the plan, so that the batches of the VAE are the same whatever the number
/// of ranks.
void Evaluator::Impl::prepare_batch(int64_t index, const at::Tensor& text) {
  Batch batch;
  batch.first = index * options.batch;
  batch.count = std::min(options.batch, static_cast<int64_t>(plan.size()) - batch.first);
  std::vector<data::Image> images;
  std::vector<data::Mask> walls;
  std::vector<data::Rgb> colors;
  std::vector<int64_t> row_of;  // painting of this batch -> row of the encoded photos
  int64_t last_photo = -1;
  for (int64_t i = batch.first; i < batch.first + batch.count; ++i) {
    const PlannedPainting& painting = plan[i];
    if (!photos.contains(painting.photo)) {
      photos[painting.photo] = {dataset.info(painting.photo), dataset.read(painting.photo)};
    }
    const Photo& photo = photos.at(painting.photo);
    if (painting.photo != last_photo) {
      images.push_back(photo.sample.image);
      walls.push_back(photo.sample.mask);
      last_photo = painting.photo;
    }
    row_of.push_back(static_cast<int64_t>(images.size()) - 1);
    colors.push_back(painting.asked);
    if (photo.info.room) targets[i] = target_of(i);
  }
  const inference::EncodedHoles holes = inference::encode_holes(base, reference, images, walls);
  const at::Tensor rows = torch::tensor(row_of, torch::kLong).to(holes.mask.device());
  batch.condition.mask = holes.mask.index_select(0, rows);
  batch.condition.hole_latents = holes.hole_latents.index_select(0, rows);
  const at::Tensor& latents = batch.condition.hole_latents;
  std::vector<at::Tensor> noise;
  for (int64_t i = batch.first; i < batch.first + batch.count; ++i) {
    noise.push_back(inference::painting_noise(static_cast<uint64_t>(options.seed),
                                              plan[i].name,
                                              latents.size(1),
                                              latents.size(2),
                                              latents.size(3)));
  }
  batch.condition.noise = torch::stack(noise).to(latents.device());
  batch.condition.text = text.to(latents.device());
  batch.colors = std::move(colors);
  batches.push_back(std::move(batch));
}

/// Each colour is encoded once and alone, so that its features depend on nothing else.
at::Tensor Evaluator::Impl::encode_colors(std::span<const data::Rgb> colors) {
  std::vector<at::Tensor> rows;
  for (const data::Rgb& color : colors) {
    at::Tensor& known = features_of_color[color];
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

void Evaluator::Impl::set_reference(inference::Condition& condition,
                                    models::Adapter* adapter,
                                    std::span<const data::Rgb> colors) {
  if (adapter == nullptr) return inference::set_reference(condition, nullptr, {}, {});
  if (!dropped_features.defined())
    dropped_features = models::encode_dropped_reference(base, features);
  inference::set_reference(condition, adapter, encode_colors(colors), dropped_features);
}

/// The photo itself for the wall's own colour, else repainted: exactly for a procedural room.
data::Image Evaluator::Impl::target_of(int64_t painting) const {
  const Photo& photo = photo_of(painting);
  if (plan[painting].own) return photo.sample.image;
  return dataset.repainted(plan[painting].photo, photo.sample, plan[painting].asked);
}

Metrics Evaluator::Impl::measure(int64_t painting, const data::Image& output) const {
  const Photo& photo = photo_of(painting);
  const auto exact = targets.find(painting);
  return measure_painting({output,
                           photo.sample.image,
                           photo.sample.mask,
                           photo.sample.core,
                           plan[painting].asked,
                           exact == targets.end() ? nullptr : &exact->second});
}

std::optional<Evaluator::Impl::Measured> Evaluator::Impl::measure_all(
    const std::string& title, const MakePictures& make, const std::set<int64_t>& keep) {
  const int64_t rounds = (num_batches() + communicator.size() - 1) / communicator.size();
  std::map<int64_t, Metrics> records;
  std::map<int64_t, data::Image> kept;
  std::map<std::string, CaseKeeper> cases;
  Progress progress(title, rounds, "batches", communicator.rank() == 0);
  for (int64_t round = 0; round < rounds; ++round) {
    bool stopped = false;
    if (round < static_cast<int64_t>(batches.size())) {
      const Batch& batch = batches[round];
      const auto pictures = make(batch);
      stopped = !pictures;
      for (int64_t i = batch.first; !stopped && i < batch.first + batch.count; ++i) {
        const data::Image& picture = pictures->at(i - batch.first);
        records[i] = measure(i, picture);
        if (keep.contains(i) && !picture.pixels.empty()) kept[i] = picture;
        for (const char* name : kCaseFigures) {
          if (!keep.empty()) cases[name].offer(i, records[i].get(name).value_or(NAN), picture);
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
  for (const std::string& bytes : communicator.all_gather(pack(records)))
    unpack(bytes, measured.records);
  for (const std::string& bytes : communicator.all_gather(pack(kept))) {
    unpack(bytes, dataset.height(), dataset.width(), measured.pictures);
  }
  return measured;
}

void Evaluator::Impl::write_grid(const std::filesystem::path& path,
                                 const std::string& title,
                                 const Measured& measured) const {
  std::vector<GridRow> rows;
  for (const int64_t index : pick_for_grid(plan, kGridPhotos)) {
    const PlannedPainting& painting = plan[index];
    const data::SampleInfo& info = dataset.info(painting.photo);
    const data::Sample sample = dataset.read(painting.photo);
    const auto output = measured.pictures.find(index);
    rows.push_back(
        {info.id,
         sample.image,
         painting.asked,
         sample.mask,
         painting.own ? sample.image : dataset.repainted(painting.photo, sample, painting.asked),
         info.room.has_value(),
         output == measured.pictures.end() ? data::Image{} : output->second,
         measured.records[index].get("delta_e_2000"),
         measured.records[index].get("delta_e_2000_exact")});
  }
  data::write_png(path, render_grid(title, rows));
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
      const auto& [photo, asked, own, key] = plan[index];
      const data::Sample sample = dataset.read(photo);
      data::write_encoded(folder / case_picture_path(painting),
                          case_strip(sample.image,
                                     asked,
                                     output->second,
                                     own ? sample.image : dataset.repainted(photo, sample, asked)));
    }
  }
}

Evaluator::Evaluator(models::BaseModel& base,
                     const data::Dataset& dataset,
                     const data::ReferenceOptions& reference,
                     const EvaluationOptions& options,
                     Communicator& communicator,
                     models::ReferenceFeatures features)
    : impl_(new Impl{
          base, dataset, reference, options, communicator, features, {}, {}, {}, {}, {}, {}}) {
  if (dataset.size() == 0) {
    throw InputError(dataset.folder().string() + ": no sample to evaluate on");
  }
  impl_->plan =
      plan_paintings(options,
                     std::min(options.photos, dataset.size()),
                     [&](int64_t index) -> const data::SampleInfo& { return dataset.info(index); });
  if (impl_->plan.empty()) throw ConfigError("evaluation: no reference to ask for");
  const at::Tensor text = models::encode_empty_prompt(base);
  for (int64_t b = communicator.rank(); b < impl_->num_batches(); b += communicator.size()) {
    impl_->prepare_batch(b, text);
  }
}

Evaluator::~Evaluator() = default;

std::optional<EvaluationResult> Evaluator::evaluate(int64_t step,
                                                    models::Adapter* adapter,
                                                    const std::filesystem::path& folder) {
  Impl& impl = *impl_;
  const inference::SamplerOptions sampler{impl.options.steps, impl.options.guidance};
  const std::vector<int64_t> shown = pick_for_grid(impl.plan, kGridPhotos);
  const auto measured = impl.measure_all("evaluate step " + std::to_string(step),
                                         [&](const Batch& batch) {
                                           inference::Condition condition = batch.condition;
                                           impl.set_reference(condition, adapter, batch.colors);
                                           return inference::paint(impl.base, sampler, condition);
                                         },
                                         {shown.begin(), shown.end()});
  if (!measured) return std::nullopt;

  const Aggregate figures = aggregate(measured->records);
  const EvaluationResult result{
      step, figures.metrics, static_cast<int64_t>(impl.plan.size()), figures.missing};
  if (impl.communicator.rank() == 0) {
    std::filesystem::create_directories(folder);
    write_metrics(folder / "metrics.json",
                  result,
                  impl.options,
                  adapter != nullptr,
                  impl.dataset,
                  impl.plan,
                  measured->records);
    impl.write_grid(folder / "grid.png",
                    (adapter == nullptr ? "base alone" : "step " + std::to_string(step)) + ", " +
                        impl.dataset.folder().filename().string(),
                    *measured);
    impl.write_cases(folder, *measured);
  }
  return result;
}

std::optional<Controls> Evaluator::controls(models::Adapter& adapter) {
  Impl& impl = *impl_;
  const inference::SamplerOptions sampler{impl.options.steps, impl.options.guidance};
  const std::vector<int64_t> other = shuffle_references(impl.plan);
  const auto shuffled =
      impl.measure_all("control: shuffled reference",
                       [&](const Batch& batch) -> std::optional<std::vector<data::Image>> {
                         std::vector<data::Rgb> colors;
                         for (int64_t i = batch.first; i < batch.first + batch.count; ++i) {
                           colors.push_back(impl.plan[other[i] < 0 ? i : other[i]].asked);
                         }
                         inference::Condition condition = batch.condition;
                         impl.set_reference(condition, &adapter, colors);
                         auto pictures = inference::paint(impl.base, sampler, condition);
                         // No other colour to ask for: missing.
                         for (int64_t i = 0; pictures && i < batch.count; ++i) {
                           if (other[batch.first + i] < 0) pictures->at(i) = {};
                         }
                         return pictures;
                       },
                       {});
  if (!shuffled) return std::nullopt;

  const auto recolored = impl.measure_all(
      "control: recoloured without a network",
      [&](const Batch& batch) {
        std::vector<data::Image> pictures;
        for (int64_t i = batch.first; i < batch.first + batch.count; ++i) {
          const Photo& photo = impl.photo_of(i);
          pictures.push_back(data::recolor(
              photo.sample.image, photo.sample.mask, photo.info.color, impl.plan[i].asked));
        }
        return std::optional(std::move(pictures));
      },
      {});
  if (!recolored) return std::nullopt;

  const auto floor =
      impl.measure_all("control: floor of the VAE",
                       [&](const Batch& batch) {
                         std::vector<data::Image> pictures;
                         for (int64_t i = batch.first; i < batch.first + batch.count; ++i) {
                           pictures.push_back(impl.target_of(i));
                         }
                         return std::optional(inference::round_trip(impl.base, pictures));
                       },
                       {});
  if (!floor) return std::nullopt;
  return Controls{aggregate(shuffled->records).metrics,
                  aggregate(recolored->records).metrics,
                  aggregate(floor->records).metrics};
}

}  // namespace limewash::eval
