#include "models/normalization.h"

#include <torch/torch.h>

#include "models/frozen_group_norm.h"

namespace limewash::models {

GroupNormImpl::GroupNormImpl(int64_t num_groups, int64_t num_channels, double eps)
    : num_groups_(num_groups), eps_(eps) {
  TORCH_CHECK(num_groups > 0 && num_channels % num_groups == 0,
              "GroupNorm: ",
              num_groups,
              " groups do not divide ",
              num_channels,
              " channels");
  weight = register_parameter("weight", at::ones({num_channels}), /*requires_grad=*/false);
  bias = register_parameter("bias", at::zeros({num_channels}), /*requires_grad=*/false);
}

at::Tensor GroupNormImpl::forward(const at::Tensor& input) const {
  return frozen_group_norm(input, num_groups_, weight, bias, eps_, /*silu=*/false);
}

at::Tensor GroupNormImpl::forward_silu(const at::Tensor& input) const {
  return frozen_group_norm(input, num_groups_, weight, bias, eps_, /*silu=*/true);
}

LayerNormImpl::LayerNormImpl(int64_t size, double eps) : eps_(eps) {
  weight = register_parameter("weight", at::ones({size}), /*requires_grad=*/false);
  bias = register_parameter("bias", at::zeros({size}), /*requires_grad=*/false);
}

at::Tensor LayerNormImpl::forward(const at::Tensor& input) const {
  return at::layer_norm(input, {weight.size(0)}, weight, bias, eps_);
}

}  // namespace limewash::models
