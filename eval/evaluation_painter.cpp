#include "eval/evaluation_painter.h"

#include <utility>

#include <torch/torch.h>

namespace limewash::eval {
namespace {

/// Of the seam, where `evaluation.paste` is on.
constexpr int64_t kPasteFeather = 2;

}  // namespace

EvaluationPainter::EvaluationPainter(models::BaseModel& base,
                                     const data::Dataset& dataset,
                                     const data::ReferenceOptions& reference,
                                     const EvaluationOptions& options,
                                     const std::vector<PlannedPainting>& plan)
    : base_(base),
      dataset_(dataset),
      reference_(reference),
      options_(options),
      plan_(plan),
      text_(models::encode_empty_prompt(base)) {}

const EvaluationPhoto& EvaluationPainter::photo_of(int64_t painting) const {
  return photos_.at(plan_[painting].photo);
}

const data::Image* EvaluationPainter::exact_target(int64_t painting) const {
  const auto found = targets_.find(painting);
  return found == targets_.end() ? nullptr : &found->second;
}

void EvaluationPainter::prepare_batch(const std::vector<int64_t>& paintings) {
  PaintingBatch batch;
  batch.paintings = paintings;
  std::vector<data::Image> images;
  std::vector<data::Mask> walls;
  std::vector<int64_t> row_of;  // painting of this batch -> row of the encoded photos
  int64_t last_photo = -1;
  for (const int64_t i : paintings) {
    const PlannedPainting& painting = plan_[i];
    if (!photos_.contains(painting.photo)) {
      photos_[painting.photo] = load_evaluation_photo(dataset_, painting.photo, options_);
    }
    const EvaluationPhoto& photo = photos_.at(painting.photo);
    if (painting.photo != last_photo) {
      images.push_back(photo.sample.image);
      walls.push_back(photo.given);
      last_photo = painting.photo;
    }
    row_of.push_back(static_cast<int64_t>(images.size()) - 1);
    batch.colors.push_back(painting.asked);
    if (photo.info.room) targets_[i] = target_of(i, photo);
  }
  const inference::EncodedHoles holes = inference::encode_holes(base_, reference_, images, walls);
  const at::Tensor rows = torch::tensor(row_of, torch::kLong).to(holes.mask.device());
  batch.condition.mask = holes.mask.index_select(0, rows);
  batch.condition.hole_latents = holes.hole_latents.index_select(0, rows);
  const at::Tensor& latents = batch.condition.hole_latents;
  std::vector<at::Tensor> noise;
  for (const int64_t i : paintings) {
    noise.push_back(inference::painting_noise(static_cast<uint64_t>(options_.seed),
                                              plan_[i].name,
                                              latents.size(1),
                                              latents.size(2),
                                              latents.size(3)));
  }
  batch.condition.noise = torch::stack(noise).to(latents.device());
  batch.condition.text = text_.to(latents.device());
  batches_.push_back(std::move(batch));
}

/// Each colour is encoded once and alone, so that its features depend on nothing else.
at::Tensor EvaluationPainter::encode_colors(std::span<const data::Rgb> colors,
                                            models::ReferenceFeatures features) {
  std::vector<at::Tensor> rows;
  for (const data::Rgb& color : colors) {
    at::Tensor& known = features_of_color_[features][color];
    if (!known.defined()) {
      const data::Image swatch = data::render_swatch(reference_,
                                                     color,
                                                     inference::kSwatchSize,
                                                     RandomStream(0, Purpose::kSwatch, 0, 0),
                                                     /*exact=*/true);
      known = inference::encode_reference_images(base_, {&swatch, 1}, features);
    }
    rows.push_back(known);
  }
  return torch::cat(rows);
}

data::Image EvaluationPainter::target_of(int64_t painting, const EvaluationPhoto& photo) const {
  if (plan_[painting].own) return photo.sample.image;
  return dataset_.repainted(plan_[painting].photo, photo.sample, plan_[painting].asked);
}

Pictures EvaluationPainter::paint(const PaintingBatch& batch, models::Adapter* adapter) {
  return paint(batch, adapter, batch.colors);
}

Pictures EvaluationPainter::paint(const PaintingBatch& batch,
                                  models::Adapter* adapter,
                                  const std::vector<data::Rgb>& colors) {
  inference::Condition condition = batch.condition;
  if (adapter == nullptr) {
    inference::set_reference(condition, nullptr, {}, {});
  } else {
    const models::ReferenceFeatures features = adapter->reference_features();
    at::Tensor& dropped = dropped_features_[features];
    if (!dropped.defined()) dropped = models::encode_dropped_reference(base_, features);
    inference::set_reference(condition, adapter, encode_colors(colors, features), dropped);
  }
  Pictures pictures = inference::paint(base_, {options_.steps, options_.guidance}, condition);
  if (pictures) paste(batch, *pictures);
  return pictures;
}

Pictures EvaluationPainter::paint_shuffled(const PaintingBatch& batch,
                                           models::Adapter& adapter,
                                           const std::vector<int64_t>& other) {
  std::vector<data::Rgb> colors;
  for (const int64_t i : batch.paintings)
    colors.push_back(plan_[other[i] < 0 ? i : other[i]].asked);
  Pictures pictures = paint(batch, &adapter, colors);
  // No other colour to ask for: missing.
  for (size_t i = 0; pictures && i < batch.paintings.size(); ++i) {
    if (other[batch.paintings[i]] < 0) pictures->at(i) = {};
  }
  return pictures;
}

Pictures EvaluationPainter::recolor(const PaintingBatch& batch) const {
  std::vector<data::Image> pictures;
  for (const int64_t i : batch.paintings) {
    const EvaluationPhoto& photo = photo_of(i);
    pictures.push_back(
        data::recolor(photo.sample.image, photo.given, photo.own_color, plan_[i].asked));
  }
  return pictures;
}

Pictures EvaluationPainter::round_trip(const PaintingBatch& batch) {
  std::vector<data::Image> pictures;
  for (const int64_t i : batch.paintings) pictures.push_back(target_of(i, photo_of(i)));
  pictures = inference::round_trip(base_, pictures);
  paste(batch, pictures);
  return pictures;
}

void EvaluationPainter::paste(const PaintingBatch& batch,
                              std::vector<data::Image>& pictures) const {
  if (!options_.paste) return;
  for (size_t i = 0; i < pictures.size(); ++i) {
    if (pictures[i].pixels.empty()) continue;
    const EvaluationPhoto& photo = photo_of(batch.paintings[i]);
    pictures[i] = inference::paste_outside(
        pictures[i], photo.sample.image, data::hole_mask(reference_, photo.given), kPasteFeather);
  }
}

}  // namespace limewash::eval
