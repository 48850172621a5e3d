#include "models/geglu.h"

#include <torch/torch.h>

#include "models/frozen.h"

namespace limewash::models {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor compute(const at::Tensor& halves) {
  const auto parts = halves.chunk(2, -1);
  return at::gelu(parts[1]).mul_(parts[0]);
}

class Geglu : public torch::autograd::Function<Geglu> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& halves) {
    context->save_for_backward({halves});
    return compute(halves);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor halves = context->get_saved_variables()[0];
    const at::Tensor& gradient = gradients[0];
    const auto parts = halves.chunk(2, -1);
    at::Tensor result = at::empty_like(halves);
    const auto of = result.chunk(2, -1);
    at::Tensor of_values = of[0], of_gates = of[1];
    at::mul_out(of_values, gradient, at::gelu(parts[1]));
    at::gelu_backward_out(of_gates, gradient * parts[0], parts[1]);
    return {result};
  }
};

}  // namespace

at::Tensor geglu(const at::Tensor& halves) {
  return is_differentiated(halves) ? Geglu::apply(halves) : compute(halves);
}

}  // namespace limewash::models
