#pragma once
// The networks that perceptual figures need. Each may be absent: its figures are then missing.

#include <map>
#include <memory>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "data/color.h"
#include "data/image.h"
#include "eval/lab_image.h"

namespace limewash::models {
struct BaseModel;
}

namespace limewash::eval {

class ClipSimilarity;
class Lpips;

/// Not for several threads at a time: it remembers the embeddings of colours.
class PerceptualNetworks {
 public:
  /// `lpips` may be nullptr, and so may `clip`.
  PerceptualNetworks(std::unique_ptr<const Lpips> lpips,
                     std::unique_ptr<const ClipSimilarity> clip);
  /// LPIPS by the weights in `lpips_file` ("": none), and the base's own image encoder.
  PerceptualNetworks(const std::string& lpips_file, const models::BaseModel& base);
  ~PerceptualNetworks();

  /// "alex" or "vgg"; nullopt without weights.
  std::optional<std::string> lpips_network() const;
  /// The mean of LPIPS' map over `pixels`.
  std::optional<double> lpips(const data::Image& a,
                              const data::Image& b,
                              const Pixels& pixels) const;
  /// Of the painted `region` and the reference: the picture `reference`, or where that is nullptr
  /// a plain one of the colour `asked`.
  std::optional<double> clip_similarity(const data::Image& picture,
                                        const data::Mask& region,
                                        const data::Rgb& asked,
                                        const data::Image* reference);

 private:
  std::unique_ptr<const Lpips> lpips_;
  std::unique_ptr<const ClipSimilarity> clip_;
  std::map<data::Rgb, at::Tensor> embedding_of_color_;
};

}  // namespace limewash::eval
