#include "models/discriminator.h"

#include <cmath>

#include <torch/torch.h>

namespace limewash::models {

namespace {

constexpr double kSlope = 0.2;

}  // namespace

Discriminator::Discriminator(const DiscriminatorOptions& options,
                             const std::string& name,
                             uint64_t seed)
    : options_(options) {
  int64_t inputs = options.in_channels, outputs = options.channels;
  const int64_t layers = options.num_halvings + 2;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const bool first = layer == 0, last = layer == layers - 1;
    const int64_t kernel = first || last ? 3 : 4;
    if (last) outputs = 1;
    const double fan_in = static_cast<double>(inputs * kernel * kernel);
    const double gain = last ? 1.0 : 2.0 / (1.0 + kSlope * kSlope);
    const auto key = name + "." + std::to_string(layer);
    auto weight = normal_start(
        {outputs, inputs, kernel, kernel}, std::sqrt(gain / fan_in), seed, key + ".weight");
    parameters_.push_back({key + ".weight", weight.requires_grad_(true)});
    if (!last) parameters_.push_back({key + ".bias", torch::zeros({outputs}).requires_grad_(true)});
    inputs = outputs;
    outputs *= 2;
  }
}

at::Tensor Discriminator::forward(const at::Tensor& input, bool frozen) const {
  TORCH_CHECK(input.dim() == 4 && input.size(1) == options_.in_channels &&
                  std::min(input.size(2), input.size(3)) >= least_side(),
              "discriminator: expected [N, ",
              options_.in_channels,
              ", h, w] of ",
              least_side(),
              " or more a side, got ",
              input.sizes());
  const auto tensor = [&](size_t index) {
    if (index >= parameters_.size()) return at::Tensor();  // the last layer's bias
    const at::Tensor& parameter = parameters_[index].tensor;
    return frozen ? parameter.detach() : parameter;
  };
  at::Tensor hidden = input;
  const size_t layers = (parameters_.size() + 1) / 2;
  for (size_t layer = 0; layer < layers; ++layer) {
    const bool last = layer == layers - 1;
    const int64_t stride = layer == 0 || last ? 1 : 2;
    hidden = at::conv2d(hidden, tensor(2 * layer), tensor(2 * layer + 1), {stride, stride}, {1, 1});
    if (!last) hidden = at::leaky_relu(hidden, kSlope);
  }
  return hidden;
}

const std::vector<NamedParameter>& Discriminator::parameters() const {
  return parameters_;
}

int64_t Discriminator::least_side() const {
  return int64_t{1} << options_.num_halvings;
}

}  // namespace limewash::models
