#pragma once
// oneDNN's own operators, as LibTorch's compiler calls them for inference. On many processors they
// are faster than what the ordinary operators choose for float32, and they read a weight as it
// lies, transposed or not, without packing it first. None of them is differentiable.

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// Whether they are there for tensors like this one: on a CPU, float32, or bfloat16 where AVX-512
/// is.
bool onednn_takes(const at::Tensor& tensor);

/// `rows` [M, K], contiguous, times the transpose of `weight` [N, K] (any strides), plus `bias` [N]
/// unless undefined -> [M, N].
at::Tensor onednn_linear(const at::Tensor& rows, const at::Tensor& weight, const at::Tensor& bias);
/// The same plus `sum` [M, N], added before the result is rounded.
at::Tensor onednn_linear_add(const at::Tensor& rows,
                             const at::Tensor& weight,
                             const at::Tensor& bias,
                             const at::Tensor& sum);

/// `left` [M, K] times `right` [K, N], both of any strides -> [M, N].
at::Tensor onednn_product(const at::Tensor& left, const at::Tensor& right);
/// The same plus `sum` [M, N]; in bfloat16 the product is rounded before.
at::Tensor onednn_product_add(const at::Tensor& left,
                              const at::Tensor& right,
                              const at::Tensor& sum);

/// `input` [N, C, H, W] and `weight` [O, C, k, k], both channels-last -> [N, O, H', W'],
/// channels-last.
at::Tensor onednn_convolution(const at::Tensor& input,
                              const at::Tensor& weight,
                              const at::Tensor& bias,
                              int64_t stride,
                              int64_t padding);

}  // namespace limewash::models
