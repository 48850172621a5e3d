#pragma once
// How alike a CLIP image encoder finds a painted region and its reference.

#include <filesystem>
#include <optional>

#include <ATen/core/Tensor.h>

#include "data/image.h"
#include "models/base_model.h"

namespace limewash::eval {

/// The CLIP score of regions, after Yang et al., "Paint by Example", 2023: the painted region's
/// bounding box is cut out; it and the reference are squeezed to the encoder's square. Figures of
/// different image encoders must not be compared.
class ClipSimilarity {
 public:
  /// The base's own image encoder, which is shared.
  explicit ClipSimilarity(const models::BaseModel& base);
  /// The folder of a CLIPVisionModelWithProjection. Throws InputError naming file and key.
  explicit ClipSimilarity(const std::filesystem::path& image_encoder);

  /// The unit-length `image_embeds` [E] of a whole picture; undefined where it is not finite.
  at::Tensor embed(const data::Image& picture) const;

  /// 100 times the cosine of the embeddings of `reference` (from `embed`) and of what `picture`
  /// shows in the bounding box of `region`. nullopt for an empty region or an undefined embedding.
  std::optional<double> similarity(const data::Image& picture,
                                   const data::Mask& region,
                                   const at::Tensor& reference) const;

 private:
  mutable models::CLIPVisionModelWithProjection encoder_;
  models::ImagePreprocessing preprocessing_;
};

}  // namespace limewash::eval
