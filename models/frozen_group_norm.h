#pragma once
// Group normalisation whose weight and bias are not trained.

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// at::group_norm of `input` [N, C, H, W], followed by SiLU if asked for. Large channels-last
/// pictures on a CPU are done by a kernel of our own, which keeps its input and two numbers a group
/// for the gradient; a weight that wants a gradient, other layouts and other devices take the
/// ordinary operators.
at::Tensor frozen_group_norm(const at::Tensor& input,
                             int64_t groups,
                             const at::Tensor& weight,
                             const at::Tensor& bias,
                             double eps,
                             bool silu);

}  // namespace limewash::models
