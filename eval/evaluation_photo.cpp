#include "eval/evaluation_photo.h"

#include "data/mask_corruption.h"
#include "data/wall_color.h"

namespace limewash::eval {
namespace {

/// The kind that `name` stands for; "any" is drawn.
data::Corruption corruption_kind(const std::string& name, RandomStream& stream) {
  if (name == "any") {
    return static_cast<data::Corruption>(1 + stream.below(data::kCorruptions - 1));
  }
  for (uint32_t kind = 1; kind < data::kCorruptions; ++kind) {
    const auto corruption = static_cast<data::Corruption>(kind);
    if (data::corruption_name(corruption) == name) return corruption;
  }
  return data::Corruption::kNone;
}

}  // namespace

EvaluationPhoto load_evaluation_photo(const data::Dataset& dataset,
                                      int64_t index,
                                      const EvaluationOptions& options) {
  EvaluationPhoto photo;
  photo.info = dataset.info(index);
  photo.sample = dataset.read(index);
  photo.given = photo.sample.mask;
  photo.own_color = photo.info.color;
  if (!options.corrupts_masks()) return photo;
  RandomStream stream(
      static_cast<uint64_t>(options.seed), Purpose::kCorruption, 0, photo.info.stable_id);
  const data::Corruption kind = corruption_kind(options.mask_corruption, stream);
  data::CorruptedMask wrong =
      data::corrupt_mask(photo.sample.image, photo.sample.mask, kind, options.mask_iou, stream);
  photo.given = std::move(wrong.mask);
  photo.mask_iou = wrong.iou;
  photo.own_color = data::median_color(photo.sample.image, photo.given).value_or(photo.info.color);
  return photo;
}

}  // namespace limewash::eval
