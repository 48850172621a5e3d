#include "models/frozen_convolution.h"

#include <torch/torch.h>

#include "models/frozen.h"
#include "models/onednn.h"
#include "models/patches.h"

namespace limewash::models {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr auto kChannelsLast = at::MemoryFormat::ChannelsLast;

/// Multiply-adds from which oneDNN's own operators gain more than their calls cost.
constexpr int64_t kWorthCalling = int64_t{1} << 20;

/// What is not differentiated.
struct Frozen {
  at::Tensor weight, bias;
  PatchShape shape;
};

/// [O, C, k, k] -> [O, k * k * C], as a view.
at::Tensor as_matrix(const at::Tensor& weight) {
  return weight.permute({0, 2, 3, 1}).view({weight.size(0), -1});
}

/// [N, C, H, W], channels-last -> [N * H * W, C], as a view.
at::Tensor pixels_of(const at::Tensor& pictures) {
  return pictures.permute({0, 2, 3, 1}).view({-1, pictures.size(1)});
}

/// The inverse.
at::Tensor as_pictures(const at::Tensor& pixels, int64_t count, int64_t height, int64_t width) {
  return pixels.view({count, height, width, pixels.size(1)}).permute({0, 3, 1, 2});
}

bool is_pointwise(const PatchShape& shape) {
  return shape.kernel == 1 && shape.stride == 1 && shape.padding == 0;
}

/// Whether the product of patches is the faster way: the larger the weight, the more it costs to
/// reorder; the more pixels, the more their patches.
bool takes_patches(int64_t pixels, const Frozen& frozen) {
  return is_pointwise(frozen.shape) || pixels <= frozen.weight.size(0);
}

at::Tensor convolve(const at::Tensor& input, const Frozen& frozen) {
  const int64_t count = input.size(0);
  const int64_t height = frozen.shape.places(input.size(2));
  const int64_t width = frozen.shape.places(input.size(3));
  if (!takes_patches(count * height * width, frozen)) {
    return onednn_convolution(
        input, frozen.weight, frozen.bias, frozen.shape.stride, frozen.shape.padding);
  }
  const at::Tensor patches =
      is_pointwise(frozen.shape) ? pixels_of(input) : gather_patches(input, frozen.shape);
  return as_pictures(
      onednn_linear(patches, as_matrix(frozen.weight), frozen.bias), count, height, width);
}

at::Tensor input_gradient(const at::Tensor& gradient,
                          at::IntArrayRef input_sizes,
                          const Frozen& frozen) {
  const auto& shape = frozen.shape;
  if (!takes_patches(gradient.size(0) * gradient.size(2) * gradient.size(3), frozen)) {
    // Only the sizes of the input are read.
    const at::Tensor input = at::empty(input_sizes, gradient.options(), kChannelsLast);
    return std::get<0>(at::convolution_backward(gradient,
                                                input,
                                                frozen.weight,
                                                c10::nullopt,
                                                {shape.stride, shape.stride},
                                                {shape.padding, shape.padding},
                                                {1, 1},
                                                /*transposed=*/false,
                                                {0, 0},
                                                /*groups=*/1,
                                                {true, false, false}));
  }
  const at::Tensor patches = onednn_product(pixels_of(gradient), as_matrix(frozen.weight));
  if (is_pointwise(shape)) {
    return as_pictures(patches, input_sizes[0], input_sizes[2], input_sizes[3]);
  }
  return scatter_patches(patches, input_sizes, shape);
}

class FrozenConvolution : public torch::autograd::Function<FrozenConvolution> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& input,
                            const Frozen& frozen) {
    context->saved_data["weight"] = frozen.weight;
    context->saved_data["shape"] =
        std::vector<int64_t>{frozen.shape.kernel, frozen.shape.stride, frozen.shape.padding};
    context->saved_data["sizes"] = input.sizes().vec();
    return convolve(input.contiguous(kChannelsLast), frozen);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "frozen_convolution has no second derivative");
    const auto shape = context->saved_data["shape"].toIntVector();
    const Frozen frozen{
        context->saved_data["weight"].toTensor(), {}, {shape[0], shape[1], shape[2]}};
    const auto sizes = context->saved_data["sizes"].toIntVector();
    return {input_gradient(gradients[0].contiguous(kChannelsLast), sizes, frozen), Variable()};
  }
};

}  // namespace

at::Tensor frozen_convolution(const at::Tensor& input,
                              const at::Tensor& weight,
                              const at::Tensor& bias,
                              int64_t stride,
                              int64_t padding) {
  const PatchShape shape{weight.size(2), stride, padding};
  const int64_t work = input.dim() == 4
                           ? input.numel() * weight.numel() / std::max<int64_t>(1, weight.size(1)) /
                                 (stride * stride)
                           : 0;
  if (is_trained(weight, bias) || work < kWorthCalling || !onednn_takes(input) ||
      !weight.is_contiguous(kChannelsLast)) {
    return at::conv2d(input, weight, bias, stride, padding);
  }
  const Frozen frozen{weight, bias, shape};
  if (is_differentiated(input)) {
    return FrozenConvolution::apply(input, frozen);
  }
  return convolve(input.contiguous(kChannelsLast), frozen);
}

}  // namespace limewash::models
