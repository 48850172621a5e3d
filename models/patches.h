#pragma once
// The patches of a picture that a convolution sees, as the rows of a matrix, and back.

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// How a convolution walks over a picture.
struct PatchShape {
  int64_t kernel = 3, stride = 1, padding = 0;
  /// Places along a side of `size` pixels.
  int64_t places(int64_t size) const {
    return (size + 2 * padding - kernel) / stride + 1;
  }
};

/// `pictures` [N, C, H, W], channels-last, float32 or bfloat16 -> [N * H' * W', k * k * C]: of each
/// place the pixels under the kernel, zeros where it stands over the edge.
at::Tensor gather_patches(const at::Tensor& pictures, const PatchShape& shape);

/// The sum of `patches` [N * H' * W', k * k * C] at their places, in float32 and rounded once:
/// [N, C, H, W], channels-last. The transpose of gather_patches.
at::Tensor scatter_patches(const at::Tensor& patches,
                           at::IntArrayRef picture_sizes,
                           const PatchShape& shape);

}  // namespace limewash::models
