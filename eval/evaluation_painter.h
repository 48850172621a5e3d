#pragma once
// What an evaluation's paintings are made of, and by what: a network, or the tricks and bounds that
// it is compared with.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "data/dataset.h"
#include "data/reference.h"
#include "eval/evaluation_options.h"
#include "eval/evaluation_photo.h"
#include "eval/painting_plan.h"
#include "inference/inpaint_pipeline.h"
#include "models/adapter.h"
#include "models/base_model.h"

namespace limewash::eval {

/// Paintings that are made together, and what the network is told of them. All of one size.
struct PaintingBatch {
  std::vector<int64_t> paintings;  ///< of the plan
  inference::Condition condition;  ///< without the reference, which depends on the adapter
  std::vector<data::Rgb> colors;   ///< asked for, one a painting
};

using Pictures = std::optional<std::vector<data::Image>>;  ///< nullopt: stopped

/// Makes the pictures of those batches that it was given to prepare. Photos and holes are encoded
/// once.
class EvaluationPainter {
 public:
  /// The arguments must outlive it.
  EvaluationPainter(models::BaseModel& base,
                    const data::Dataset& dataset,
                    const data::ReferenceOptions& reference,
                    const EvaluationOptions& options,
                    const std::vector<PlannedPainting>& plan);

  /// Load and encode what no adapter changes: holes, noise, text and the asked colours. Photos are
  /// encoded once a batch, in the order of the plan, so that the batches of the VAE are the same
  /// whatever the number of ranks.
  void prepare_batch(const std::vector<int64_t>& paintings);
  const std::vector<PaintingBatch>& batches() const {
    return batches_;
  }

  /// Of a painting in a prepared batch.
  const EvaluationPhoto& photo_of(int64_t painting) const;
  /// The exact repaint of a procedural room in a prepared batch; nullptr for a photo.
  const data::Image* exact_target(int64_t painting) const;
  /// The photo itself for the wall's own colour, else repainted: exactly for a procedural room. Of
  /// any painting.
  data::Image target_of(int64_t painting, const EvaluationPhoto& photo) const;

  /// By the network; without an adapter by the base alone.
  Pictures paint(const PaintingBatch& batch, models::Adapter* adapter);
  /// Asked for the colours of the paintings `other`; empty pictures where that is -1.
  Pictures paint_shuffled(const PaintingBatch& batch,
                          models::Adapter& adapter,
                          const std::vector<int64_t>& other);
  /// As an image editor does.
  Pictures recolor(const PaintingBatch& batch) const;
  /// The targets through the VAE and back.
  Pictures round_trip(const PaintingBatch& batch);

 private:
  Pictures paint(const PaintingBatch& batch,
                 models::Adapter* adapter,
                 const std::vector<data::Rgb>& colors);
  at::Tensor encode_colors(std::span<const data::Rgb> colors, models::ReferenceFeatures features);
  void paste(const PaintingBatch& batch, std::vector<data::Image>& pictures) const;

  models::BaseModel& base_;
  const data::Dataset& dataset_;
  const data::ReferenceOptions& reference_;
  const EvaluationOptions& options_;
  const std::vector<PlannedPainting>& plan_;
  at::Tensor text_;                            // [1, L, D], the empty prompt
  std::vector<PaintingBatch> batches_;         // in order
  std::map<int64_t, EvaluationPhoto> photos_;  // by index into the dataset
  std::map<int64_t, data::Image> targets_;     // exact repaints, by painting
  // By what the adapter takes: [1, ...] of the swatches so far, and of a dropped reference.
  std::map<models::ReferenceFeatures, std::map<data::Rgb, at::Tensor>> features_of_color_;
  std::map<models::ReferenceFeatures, at::Tensor> dropped_features_;
};

}  // namespace limewash::eval
