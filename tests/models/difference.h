#pragma once
// Include after <torch/torch.h>.

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

namespace limewash::models {

/// Largest difference as a share of the largest number.
inline double relative_difference(const at::Tensor& got, const at::Tensor& wanted) {
  EXPECT_EQ(got.sizes(), wanted.sizes());
  const auto a = got.to(at::kDouble), b = wanted.to(at::kDouble);
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

}  // namespace limewash::models
