#pragma once
// Matrix products with weights that are not trained, and with a LoRA beside them: differentiable in
// the input and in the LoRA, never in the weight.

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// at::linear for a frozen `weight` [out, in]: `input` [..., in] -> [..., out]. Large products on a
/// CPU take oneDNN; a weight that wants a gradient, small products and other devices take the
/// ordinary operator.
at::Tensor frozen_linear(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias);

/// frozen_linear + scale * B A input. `a` [rank, in] and `b` [out, rank] are cast to the input's
/// type; their gradients have their own.
at::Tensor frozen_linear_with_lora(const at::Tensor& input,
                                   const at::Tensor& weight,
                                   const at::Tensor& bias,
                                   const at::Tensor& a,
                                   const at::Tensor& b,
                                   double scale);

/// at::linear with a trained weight in the type of the input, whatever its own type is: its
/// gradient has the weight's type.
at::Tensor trained_linear(const at::Tensor& input,
                          const at::Tensor& weight,
                          const at::Tensor& bias);

}  // namespace limewash::models
