#include "models/frozen_linear.h"

#include <utility>
#include <vector>

#include <torch/torch.h>

#include "models/frozen.h"
#include "models/onednn.h"

namespace limewash::models {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Multiply-adds from which oneDNN's own operator gains more than its call costs.
constexpr int64_t kWorthCalling = int64_t{1} << 20;
/// Columns of a weight's gradient up to which it is computed turned.
constexpr int64_t kNarrow = 128;

bool is_large(const at::Tensor& input, const at::Tensor& weight) {
  return input.dim() >= 2 && input.numel() * weight.size(0) >= kWorthCalling && onednn_takes(input);
}

/// [..., K] -> [M, K], contiguous.
at::Tensor rows_of(const at::Tensor& input) {
  return input.reshape({-1, input.size(-1)}).contiguous();
}

/// [M, N] -> the leading sizes of `like`, and N.
at::Tensor as_input(const at::Tensor& rows, at::IntArrayRef like) {
  std::vector<int64_t> sizes = like.vec();
  sizes.back() = rows.size(-1);
  return rows.view(sizes);
}

/// The transpose of `left` [M, R] times `right` [M, N]: a weight's gradient, [R, N] in `type`.
at::Tensor weight_gradient(const at::Tensor& left, const at::Tensor& right, at::ScalarType type) {
  // In float32 a result as narrow as a LoRA's rank is several times slower than its transpose; the
  // transpose of a wider one costs more to turn than is won.
  const bool is_narrow = right.size(1) <= kNarrow && right.size(1) < left.size(1);
  if (is_narrow && left.scalar_type() == at::kFloat) {
    return onednn_product(right.t(), left).t().contiguous().to(type);
  }
  return onednn_product(left.t(), right).to(type);
}

/// What is not differentiated, so autograd does not look at it.
struct Frozen {
  at::Tensor weight, bias;
};

class FrozenLinear : public torch::autograd::Function<FrozenLinear> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& input,
                            const Frozen& frozen) {
    context->saved_data["weight"] = frozen.weight;
    return as_input(onednn_linear(rows_of(input), frozen.weight, frozen.bias), input.sizes());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "frozen_linear has no second derivative");
    const at::Tensor weight = context->saved_data["weight"].toTensor();
    const at::Tensor& gradient = gradients[0];
    return {as_input(onednn_product(rows_of(gradient), weight), gradient.sizes()), Variable()};
  }
};

class FrozenLinearWithLora : public torch::autograd::Function<FrozenLinearWithLora> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& input,
                            const at::Tensor& a,
                            const at::Tensor& b,
                            const Frozen& frozen,
                            double scale) {
    const auto type = input.scalar_type();
    const at::Tensor rows = rows_of(input);
    const at::Tensor low_rank = onednn_linear(rows, a.to(type), {}).mul_(scale);
    const at::Tensor branch = onednn_linear(low_rank, b.to(type), {});
    context->save_for_backward({input, a, b, low_rank});
    context->saved_data["weight"] = frozen.weight;
    context->saved_data["scale"] = scale;
    return as_input(onednn_linear_add(rows, frozen.weight, frozen.bias, branch), input.sizes());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "frozen_linear has no second derivative");
    const auto saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &a = saved[1], &b = saved[2], &low_rank = saved[3];
    const at::Tensor weight = context->saved_data["weight"].toTensor();
    const auto type = input.scalar_type();
    const at::Tensor gradient = rows_of(gradients[0]);
    const at::Tensor low_rank_gradient =
        onednn_product(gradient, b.to(type)).mul_(context->saved_data["scale"].toDouble());
    at::Tensor of_input, of_a, of_b;
    if (context->needs_input_grad(0)) {
      const at::Tensor branch = onednn_product(low_rank_gradient, a.to(type));
      of_input = as_input(onednn_product_add(gradient, weight, branch), input.sizes());
    }
    if (context->needs_input_grad(1)) {
      of_a = weight_gradient(low_rank_gradient, rows_of(input), a.scalar_type());
    }
    if (context->needs_input_grad(2)) of_b = weight_gradient(gradient, low_rank, b.scalar_type());
    return {of_input, of_a, of_b, Variable(), Variable()};
  }
};

class TrainedLinear : public torch::autograd::Function<TrainedLinear> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& input,
                            const at::Tensor& weight) {
    const at::Tensor cast = weight.to(input.scalar_type());
    context->save_for_backward({input, cast});
    context->saved_data["type"] = weight.scalar_type();
    return as_input(onednn_linear(rows_of(input), cast, {}), input.sizes());
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "frozen_linear has no second derivative");
    const auto saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight = saved[1];
    const at::Tensor gradient = rows_of(gradients[0]);
    at::Tensor of_input, of_weight;
    if (context->needs_input_grad(0)) {
      of_input = as_input(onednn_product(gradient, weight), input.sizes());
    }
    if (context->needs_input_grad(1)) {
      of_weight =
          weight_gradient(gradient, rows_of(input), context->saved_data["type"].toScalarType());
    }
    return {of_input, of_weight};
  }
};

}  // namespace

at::Tensor frozen_linear(const at::Tensor& input,
                         const at::Tensor& weight,
                         const at::Tensor& bias) {
  if (is_trained(weight, bias) || !is_large(input, weight)) return at::linear(input, weight, bias);
  if (!is_differentiated(input)) {
    return as_input(onednn_linear(rows_of(input), weight, bias), input.sizes());
  }
  return FrozenLinear::apply(input, Frozen{weight, bias});
}

at::Tensor frozen_linear_with_lora(const at::Tensor& input,
                                   const at::Tensor& weight,
                                   const at::Tensor& bias,
                                   const at::Tensor& a,
                                   const at::Tensor& b,
                                   double scale) {
  if (is_trained(weight, bias) || !is_large(input, weight)) {
    const auto type = input.scalar_type();
    // The scale goes where there are the fewest numbers: between A and B.
    const at::Tensor low_rank = at::linear(input, a.to(type)) * scale;
    return at::linear(input, weight, bias) + at::linear(low_rank, b.to(type));
  }
  return FrozenLinearWithLora::apply(input, a, b, Frozen{weight, bias}, scale);
}

at::Tensor trained_linear(const at::Tensor& input,
                          const at::Tensor& weight,
                          const at::Tensor& bias) {
  const auto type = input.scalar_type();
  const at::Tensor cast_bias = bias.defined() ? bias.to(type) : bias;
  if (!is_large(input, weight)) return at::linear(input, weight.to(type), cast_bias);
  const at::Tensor output = TrainedLinear::apply(input, weight);
  return cast_bias.defined() ? output + cast_bias : output;
}

}  // namespace limewash::models
