#pragma once
// Group and layer normalisation with affine weights.

#include <cstdint>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

namespace limewash::models {

class GroupNormImpl : public torch::nn::Module {
 public:
  GroupNormImpl(int64_t num_groups, int64_t num_channels, double eps);
  /// [N, C, ...] -> the same shape.
  at::Tensor forward(const at::Tensor& input) const;
  /// The same followed by SiLU.
  at::Tensor forward_silu(const at::Tensor& input) const;

  at::Tensor weight, bias;  // [C]

 private:
  int64_t num_groups_;
  double eps_;
};
TORCH_MODULE(GroupNorm);

class LayerNormImpl : public torch::nn::Module {
 public:
  explicit LayerNormImpl(int64_t size, double eps = 1e-5);
  /// [..., C] -> the same shape, normalised over the last dimension.
  at::Tensor forward(const at::Tensor& input) const;

  at::Tensor weight, bias;  // [C]

 private:
  double eps_;
};
TORCH_MODULE(LayerNorm);

}  // namespace limewash::models
