#include "models/onednn.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/torch.h>

namespace limewash::models {

namespace {

std::optional<c10::OperatorHandle> find_operator(const char* name, const char* overload) {
  return c10::Dispatcher::singleton().findSchema({name, overload});
}

const std::optional<c10::OperatorHandle>& linear_operator() {
  static const auto found = find_operator("mkldnn::_linear_pointwise", "");
  return found;
}

const std::optional<c10::OperatorHandle>& linear_add_operator() {
  static const auto found = find_operator("mkldnn::_linear_pointwise", "binary");
  return found;
}

const std::optional<c10::OperatorHandle>& convolution_operator() {
  static const auto found = find_operator("mkldnn::_convolution_pointwise", "");
  return found;
}

/// bfloat16 is only emulated, slowly, without AVX-512.
bool computes_bfloat16() {
#if defined(__x86_64__)
  static const bool has_avx512 = __builtin_cpu_supports("avx512bw") != 0;
  return has_avx512;
#else
  return false;
#endif
}

bool are_there() {
  static const bool found =
      at::hasMKLDNN() && linear_operator() && linear_add_operator() && convolution_operator();
  return found;
}

c10::IValue optional_tensor(const at::Tensor& tensor) {
  return tensor.defined() ? c10::IValue(tensor) : c10::IValue();
}

at::Tensor call(const c10::OperatorHandle& handle, std::vector<c10::IValue> stack) {
  const at::AutoDispatchBelowADInplaceOrView no_autograd;
  handle.callBoxed(stack);
  return stack.front().toTensor();
}

c10::List<std::optional<at::Scalar>> no_scalars() {
  return c10::List<std::optional<at::Scalar>>();
}

}  // namespace

bool onednn_takes(const at::Tensor& tensor) {
  if (!tensor.device().is_cpu() || !are_there() || !at::globalContext().userEnabledMkldnn()) {
    return false;
  }
  const auto type = tensor.scalar_type();
  return type == at::kFloat || (type == at::kBFloat16 && computes_bfloat16());
}

at::Tensor onednn_linear(const at::Tensor& rows, const at::Tensor& weight, const at::Tensor& bias) {
  return call(*linear_operator(),
              {rows, weight, optional_tensor(bias), "none", no_scalars(), std::string()});
}

at::Tensor onednn_linear_add(const at::Tensor& rows,
                             const at::Tensor& weight,
                             const at::Tensor& bias,
                             const at::Tensor& sum) {
  return call(*linear_add_operator(), {rows, sum, weight, optional_tensor(bias), "add"});
}

// For bfloat16 LibTorch takes oneDNN itself, by a primitive that reads the right side as it lies;
// that of onednn_linear packs it, slowly where AMX is. For float32 LibTorch takes another library.
at::Tensor onednn_product(const at::Tensor& left, const at::Tensor& right) {
  if (left.scalar_type() == at::kBFloat16) return at::mm(left, right);
  return onednn_linear(left.contiguous(), right.t(), {});
}

at::Tensor onednn_product_add(const at::Tensor& left,
                              const at::Tensor& right,
                              const at::Tensor& sum) {
  // Not addmm, with which a training step's peak of memory is a quarter of a GiB higher.
  if (left.scalar_type() == at::kBFloat16) return at::mm(left, right).add_(sum);
  return onednn_linear_add(left.contiguous(), right.t(), {}, sum);
}

at::Tensor onednn_convolution(const at::Tensor& input,
                              const at::Tensor& weight,
                              const at::Tensor& bias,
                              int64_t stride,
                              int64_t padding) {
  const std::vector<int64_t> strides{stride, stride}, paddings{padding, padding}, dilation{1, 1};
  return call(*convolution_operator(),
              {input,
               weight,
               optional_tensor(bias),
               paddings,
               strides,
               dilation,
               int64_t{1},
               "none",
               no_scalars(),
               std::string()});
}

}  // namespace limewash::models
