#pragma once
// LPIPS: how different two pictures look, by the features of a trained network.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "data/image.h"
#include "eval/lab_image.h"

namespace limewash::eval {

/// Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018,
/// version 0.1: features of AlexNet or VGG16, of unit length over the channels; their squared
/// differences, weighted by linear heads. Equal to the lpips package's LPIPS(net="alex" or "vgg")
/// with the same weights. Computes on the CPU in fp32.
class Lpips {
 public:
  /// A safetensors file that eval/make_lpips_weights.py wrote: torchvision's `features.N.weight`
  /// and `.bias`, and the heads `lin0.model.1.weight` to `lin4...`. The network is told by the
  /// shape of `features.0.weight`. Missing, surplus and wrongly shaped tensors, values that are not
  /// finite and metadata that say otherwise are an InputError naming file and key.
  explicit Lpips(const std::filesystem::path& weights);
  ~Lpips();
  Lpips(Lpips&&) noexcept;
  Lpips& operator=(Lpips&&) noexcept;

  /// Compute there from now on. Pictures (data::Image) are compared on the CPU alone.
  void to(at::Device device);

  /// "alex" or "vgg".
  const std::string& network() const;
  /// The smallest side of a picture that it takes.
  int64_t least_side() const;

  /// The distance of two pictures of one size: lpips' spatial=False. nullopt for
  /// pictures too small for the network (31 pixels a side for "alex", 16 for "vgg"). InputError for
  /// other sizes, and for pictures whose features would not fit into memory (above 4 megapixels for
  /// "vgg", 64 for "alex").
  std::optional<double> distance(const data::Image& a, const data::Image& b) const;

  /// The mean over `pixels` of the map of distances (lpips' spatial=True); nullopt also where there
  /// are none.
  std::optional<double> distance(const data::Image& a,
                                 const data::Image& b,
                                 const Pixels& pixels) const;

  /// The distance of each pair of rows of two tensors [N, 3, H, W] in [-1, 1], [N]: the same
  /// figure, differentiable in both. InputError for pictures too small for the network.
  at::Tensor distance(const at::Tensor& a, const at::Tensor& b) const;

 private:
  struct Network;
  std::unique_ptr<Network> network_;
};

}  // namespace limewash::eval
