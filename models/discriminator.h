#pragma once
// A small convolutional discriminator that judges latents patch by patch.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/named_parameter.h"

namespace limewash::models {

struct DiscriminatorOptions {
  int64_t in_channels = 4;
  int64_t channels = 32;     ///< of the first layer; doubled by each halving
  int64_t num_halvings = 2;  ///< layers of stride 2
};

/// PatchGAN (Isola et al., 2017): a convolution of kernel 3, then kernels of 4 with stride 2, leaky
/// ReLUs of 0.2 between, and a last convolution of kernel 3 that leaves one logit a patch. No
/// normalisation, as a gradient penalty on single samples asks for. The last layer has no bias: in
/// a hinge loss its gradient is 1 - 1, and Adam would make steps of what rounding leaves of that.
class Discriminator {
 public:
  /// Weights start normal with Kaiming's deviation, a pure function of seed and `name`; biases at
  /// 0.
  Discriminator(const DiscriminatorOptions& options, const std::string& name, uint64_t seed);

  /// [N, in_channels, h, w] -> logits [N, 1, h', w']. With `frozen` its own weights get no
  /// gradient.
  at::Tensor forward(const at::Tensor& input, bool frozen = false) const;
  /// `NAME.N.weight` and `NAME.N.bias`, float32 leaves that require a gradient.
  const std::vector<NamedParameter>& parameters() const;
  /// The smallest side that leaves a patch.
  int64_t least_side() const;

 private:
  DiscriminatorOptions options_;
  std::vector<NamedParameter> parameters_;
};

}  // namespace limewash::models
