#pragma once
// A perceptual term without weights of its own.

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace limewash::trainer {

/// Mean absolute difference of two pictures or latents [N, C, h, w], band by band of a Laplacian
/// pyramid (Burt, Adelson, 1983): halved by averages of 2 x 2, enlarged bilinearly. The mean over
/// `levels` bands, fewer where a side would fall below 2, and what is left below them: [N].
at::Tensor multi_scale_distance(const at::Tensor& a, const at::Tensor& b, int64_t levels);

}  // namespace limewash::trainer
