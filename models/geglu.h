#pragma once
// The gated unit of the transformers' feed-forward.

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// Shazeer, "GLU Variants Improve Transformer", 2020: `halves` [..., 2 C] are values and gates;
/// values * GELU(gates), exact -> [..., C]. Keeps its input alone for the gradient, which it writes
/// into one tensor.
at::Tensor geglu(const at::Tensor& halves);

}  // namespace limewash::models
