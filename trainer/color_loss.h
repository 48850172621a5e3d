#pragma once
// How far the colour of the predicted wall is from the one that it should have.

#include <vector>

#include <ATen/core/Tensor.h>

namespace limewash::trainer {

/// sRGB [..., 3] to CIELAB (D65), differentiable and continued beyond [0, 1]; equals
/// data::rgb_to_lab inside.
at::Tensor differentiable_rgb_to_lab(const at::Tensor& rgb);

/// The affine map [C + 1, 3] from scaled latents to sRGB in [0, 1].
class LatentColor {
 public:
  explicit LatentColor(const std::vector<float>& latent_to_rgb, at::Device device = at::kCPU);
  /// Lab of the mean of `latents` over the core: [N, C, h, w], [N, 1, h, w] -> [N, 3].
  at::Tensor region_lab(const at::Tensor& latents, const at::Tensor& core) const;

 private:
  at::Tensor weight_, bias_;  // [C, 3], [3]
};

/// Mean Lab of pixels [N, 3, H, W] in [-1, 1] over the core, which has latent size [N, 1, h, w] and
/// counts for the pixels of each latent: [N, 3].
at::Tensor decoded_region_lab(const at::Tensor& pixels, const at::Tensor& core);

/// Squared distance of two Lab colours [N, 3] in units of 10 Lab each way, [N], so that a weight of
/// 0.1 weighs about as much as the noise loss.
at::Tensor color_distance(const at::Tensor& predicted, const at::Tensor& anchor);

}  // namespace limewash::trainer
