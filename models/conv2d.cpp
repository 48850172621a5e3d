#include "models/conv2d.h"

#include <torch/torch.h>

namespace limewash::models {

Conv2dImpl::Conv2dImpl(const Conv2dOptions& options)
    : stride_(options.stride), padding_(options.padding) {
  weight = register_parameter(
      "weight",
      at::empty({options.out_channels, options.in_channels, options.kernel, options.kernel}),
      /*requires_grad=*/false);
  if (options.bias) bias = register_parameter("bias", at::empty({options.out_channels}), false);
}

at::Tensor Conv2dImpl::forward(const at::Tensor& input) const {
  return at::conv2d(input, weight, bias, stride_, padding_);
}

}  // namespace limewash::models
