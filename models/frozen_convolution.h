#pragma once
// A convolution whose weights are not trained: differentiable in its input alone.

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// at::conv2d for a frozen `weight` [O, C, k, k] that lies channels-last: `input` [N, C, H, W] ->
/// [N, O, H', W']. On a CPU the result is channels-last, and where the weights are more than the
/// pixels the convolution is one matrix product of the picture's patches with the weight as it
/// lies: the ordinary operator would bring the whole weight into another order at each call,
/// forward and backward. A weight that wants a gradient and other devices take the ordinary
/// operator.
at::Tensor frozen_convolution(const at::Tensor& input,
                              const at::Tensor& weight,
                              const at::Tensor& bias,
                              int64_t stride,
                              int64_t padding);

}  // namespace limewash::models
