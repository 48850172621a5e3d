#pragma once
// When a layer may take the way that gives no gradient of its weights, and keeps nothing for it.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

namespace limewash::models {

/// Whether a layer's weight, or its bias where it has one, is to get a gradient.
inline bool is_trained(const at::Tensor& weight, const at::Tensor& bias) {
  return weight.requires_grad() || (bias.defined() && bias.requires_grad());
}

/// Whether autograd follows what is made of the tensor.
inline bool is_differentiated(const at::Tensor& tensor) {
  return at::GradMode::is_enabled() && tensor.requires_grad();
}

}  // namespace limewash::models
