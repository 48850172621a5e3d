#include "models/conv2d.h"

#include <torch/torch.h>

#include "models/frozen_convolution.h"

namespace limewash::models {

Conv2dImpl::Conv2dImpl(const Conv2dOptions& options)
    : stride_(options.stride), padding_(options.padding) {
  weight = register_parameter(
      "weight",
      at::empty({options.out_channels, options.in_channels, options.kernel, options.kernel},
                at::MemoryFormat::ChannelsLast),
      /*requires_grad=*/false);
  if (options.bias) bias = register_parameter("bias", at::empty({options.out_channels}), false);
}

at::Tensor Conv2dImpl::forward(const at::Tensor& input) const {
  at::Tensor output = frozen_convolution(input, weight, bias, stride_, padding_);
  if (!adds_lora()) return output;
  const auto type = input.scalar_type();
  const at::Tensor low_rank =
      at::conv2d(lora_input(input), lora().a.to(type), {}, stride_, padding_) * lora().scale;
  return output + at::conv2d(low_rank, lora().b.to(type));
}

const at::Tensor& Conv2dImpl::lora_base_weight() const {
  return weight;
}

}  // namespace limewash::models
