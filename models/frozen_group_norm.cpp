#include "models/frozen_group_norm.h"

#include <algorithm>

#include <torch/torch.h>

#include "models/frozen.h"
#include "models/group_norm_kernel.h"
#include "models/parallel.h"

namespace limewash::models {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Numbers from which one pass gains more than its set-up costs.
constexpr int64_t kWorthFusing = int64_t{1} << 14;

/// What is not differentiated: [C] in float32.
struct Frozen {
  at::Tensor weight, bias;
  int64_t groups = 1;
  double eps = 1e-5;
  bool silu = false;
};

/// `body`(slice, sample) over samples and groups, by threads; each group is one thread's.
template <class Body>
void over_slices(const at::Tensor& input, const Frozen& frozen, const Body& body) {
  const int64_t samples = input.size(0), channels = input.size(1);
  const int64_t parts =
      std::min<int64_t>(frozen.groups, std::max<int64_t>(1, at::get_num_threads()));
  const int64_t groups_each = (frozen.groups + parts - 1) / parts;
  parallel_for(0, samples * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      GroupNormSlice slice;
      slice.pixels = input.size(2) * input.size(3);
      slice.channels = channels;
      slice.group_size = channels / frozen.groups;
      slice.first_channel = std::min(channels, task % parts * groups_each * slice.group_size);
      slice.end_channel = std::min(channels, slice.first_channel + groups_each * slice.group_size);
      slice.silu = frozen.silu;
      slice.eps = frozen.eps;
      if (slice.first_channel < slice.end_channel) body(slice, task / parts);
    }
  });
}

template <class Number, class Storage>
void run_forward(const at::Tensor& input,
                 const Frozen& frozen,
                 at::Tensor& output,
                 at::Tensor& mean,
                 at::Tensor& reciprocal) {
  const int64_t size = input[0].numel();
  over_slices(input, frozen, [&](const GroupNormSlice& slice, int64_t sample) {
    group_norm_forward(
        slice,
        reinterpret_cast<const Storage*>(input.const_data_ptr<Number>()) + sample * size,
        frozen.weight.const_data_ptr<float>(),
        frozen.bias.const_data_ptr<float>(),
        reinterpret_cast<Storage*>(output.data_ptr<Number>()) + sample * size,
        mean.data_ptr<float>() + sample * frozen.groups,
        reciprocal.data_ptr<float>() + sample * frozen.groups);
  });
}

template <class Number, class Storage>
void run_backward(const at::Tensor& input,
                  const at::Tensor& gradient,
                  const Frozen& frozen,
                  const at::Tensor& mean,
                  const at::Tensor& reciprocal,
                  at::Tensor& input_gradient) {
  const int64_t size = input[0].numel();
  over_slices(input, frozen, [&](const GroupNormSlice& slice, int64_t sample) {
    group_norm_backward(
        slice,
        reinterpret_cast<const Storage*>(input.const_data_ptr<Number>()) + sample * size,
        reinterpret_cast<const Storage*>(gradient.const_data_ptr<Number>()) + sample * size,
        frozen.weight.const_data_ptr<float>(),
        frozen.bias.const_data_ptr<float>(),
        mean.const_data_ptr<float>() + sample * frozen.groups,
        reciprocal.const_data_ptr<float>() + sample * frozen.groups,
        reinterpret_cast<Storage*>(input_gradient.data_ptr<Number>()) + sample * size);
  });
}

at::Tensor normalize(const at::Tensor& input,
                     const Frozen& frozen,
                     at::Tensor& mean,
                     at::Tensor& reciprocal) {
  at::Tensor output = at::empty_like(input);
  mean = at::empty({input.size(0), frozen.groups}, input.options().dtype(at::kFloat));
  reciprocal = at::empty_like(mean);
  if (input.scalar_type() == at::kBFloat16) {
    run_forward<at::BFloat16, Bfloat16Bits>(input, frozen, output, mean, reciprocal);
  } else {
    run_forward<float, float>(input, frozen, output, mean, reciprocal);
  }
  return output;
}

class FrozenGroupNorm : public torch::autograd::Function<FrozenGroupNorm> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& input,
                            const Frozen& frozen) {
    at::Tensor mean, reciprocal;
    at::Tensor output = normalize(input, frozen, mean, reciprocal);
    context->save_for_backward({input, mean, reciprocal});
    context->saved_data["weight"] = frozen.weight;
    context->saved_data["bias"] = frozen.bias;
    context->saved_data["groups"] = frozen.groups;
    context->saved_data["silu"] = frozen.silu;
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "frozen_group_norm has no second derivative");
    const auto saved = context->get_saved_variables();
    const at::Tensor& input = saved[0];
    Frozen frozen;
    frozen.weight = context->saved_data["weight"].toTensor();
    frozen.bias = context->saved_data["bias"].toTensor();
    frozen.groups = context->saved_data["groups"].toInt();
    frozen.silu = context->saved_data["silu"].toBool();
    const at::Tensor gradient = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor input_gradient = at::empty_like(input);
    if (input.scalar_type() == at::kBFloat16) {
      run_backward<at::BFloat16, Bfloat16Bits>(
          input, gradient, frozen, saved[1], saved[2], input_gradient);
    } else {
      run_backward<float, float>(input, gradient, frozen, saved[1], saved[2], input_gradient);
    }
    return {input_gradient, Variable()};
  }
};

bool can_fuse(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) {
  const auto type = input.scalar_type();
  return input.device().is_cpu() && input.dim() == 4 && input.numel() >= kWorthFusing &&
         (type == at::kFloat || type == at::kBFloat16) && !is_trained(weight, bias) &&
         input.is_contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace

at::Tensor frozen_group_norm(const at::Tensor& input,
                             int64_t groups,
                             const at::Tensor& weight,
                             const at::Tensor& bias,
                             double eps,
                             bool silu) {
  if (!can_fuse(input, weight, bias)) {
    at::Tensor output = at::group_norm(input, groups, weight, bias, eps);
    if (!silu) return output;
    // In the memory of what nobody else has, unless a gradient needs what it was.
    return is_differentiated(output) ? at::silu(output) : at::silu_(output);
  }
  TORCH_CHECK(input.size(1) % groups == 0 && weight.numel() == input.size(1) &&
                  bias.numel() == input.size(1),
              "frozen_group_norm: ",
              input.sizes(),
              " in ",
              groups,
              " groups with weights ",
              weight.sizes(),
              " and ",
              bias.sizes());
  const Frozen frozen{weight.to(at::kFloat), bias.to(at::kFloat), groups, eps, silu};
  if (is_differentiated(input)) {
    return FrozenGroupNorm::apply(input, frozen);
  }
  at::Tensor mean, reciprocal;
  return normalize(input, frozen, mean, reciprocal);
}

}  // namespace limewash::models
