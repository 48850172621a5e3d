#include "tests/models/blind_device.h"

#include <atomic>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/MTIAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>
#include <torch/torch.h>

namespace limewash {

namespace {

/// A device type that LibTorch knows as dense, so that modules can be moved there, and has no
/// kernels for.
constexpr auto kType = c10::DeviceType::MTIA;

struct BlindGuard final : c10::impl::NoOpDeviceGuardImpl<kType> {
  at::Device exchangeDevice(at::Device) const override {
    return blind_device();
  }
  at::Device getDevice() const override {
    return blind_device();
  }
  c10::Stream getStream(at::Device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, blind_device());
  }
  c10::Stream exchangeStream(c10::Stream) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, blind_device());
  }
};
C10_REGISTER_GUARD_IMPL(MTIA, BlindGuard);

/// Autograd takes the one accelerator of the process for the device of a tensor that isn't on the
/// CPU.
struct MTIAHooks final : at::MTIAHooksInterface {
  explicit MTIAHooks(at::MTIAHooksArgs) {}
  bool hasMTIA() const override {
    return true;
  }
  bool isAvailable() const override {
    return true;
  }
  bool hasPrimaryContext(at::DeviceIndex) const override {
    return true;
  }
  /// It has no random numbers of its own: LibTorch seeds those of every device that it counts.
  at::DeviceIndex deviceCount() const override {
    return 0;
  }
};
using at::MTIAHooksRegistry, at::RegistererMTIAHooksRegistry;
REGISTER_MTIA_HOOKS(MTIAHooks);

std::atomic<int64_t> waits{0};
std::atomic<bool> recording{false};

void note_wait(const std::string& what) {
  ++waits;
  TORCH_CHECK(!recording, "operation not permitted while the device is recorded: ", what);
}

bool is_blind(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().type() == kType;
}

/// `tensor` as one of `device`, with the same memory.
at::Tensor moved(const at::Tensor& tensor, at::Device device, c10::DispatchKey key) {
  auto keep = std::make_unique<at::Tensor>(tensor);
  const auto& storage = tensor.storage();
  c10::DataPtr memory(
      storage.mutable_data(),
      keep.release(),
      [](void* kept) { delete static_cast<at::Tensor*>(kept); },
      device);
  auto result = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(c10::Storage::use_byte_size_t(), storage.nbytes(), std::move(memory)),
      c10::DispatchKeySet(key),
      tensor.dtype());
  result.unsafeGetTensorImpl()->set_sizes_and_strides(
      tensor.sizes(), tensor.strides(), tensor.storage_offset());
  return result;
}

at::Tensor on_cpu(const at::Tensor& tensor) {
  return is_blind(tensor) ? moved(tensor, at::kCPU, c10::DispatchKey::CPU) : tensor;
}

at::Tensor on_device(const at::Tensor& cpu) {
  return cpu.defined() ? moved(cpu, blind_device(), c10::DispatchKey::MTIA) : cpu;
}

/// `view`, of memory of `base`, as a view of it.
at::Tensor as_view_of(const at::Tensor& base, const at::Tensor& view) {
  auto tensor = at::detail::make_tensor<c10::TensorImpl>(
      c10::TensorImpl::VIEW, c10::Storage(base.storage()), base.key_set(), view.dtype());
  const auto* begin = static_cast<const char*>(base.storage().data());
  const int64_t offset =
      view.numel() == 0
          ? 0
          : (static_cast<const char*>(view.const_data_ptr()) - begin) / view.element_size();
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(view.sizes(), view.strides(), offset);
  return tensor;
}

/// Applies `change` to every tensor of an argument or a result.
template <typename Change>
c10::IValue with_tensors(const c10::IValue& value, const Change& change) {
  if (value.isTensor()) return change(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(change(tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<at::Tensor>> list;
    for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList())
      list.push_back(tensor ? std::optional<at::Tensor>(change(*tensor)) : std::nullopt);
    return list;
  }
  if (value.isDevice() && value.toDevice().type() == kType) return at::Device(at::kCPU);
  return value;
}

/// How much an operator returns depends on the values: a GPU has to be asked.
bool has_a_size_of_its_values(const std::string& name) {
  static const std::set<std::string> kNames = {
      "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::bincount", "aten::equal"};
  return kNames.contains(name);
}

/// A tensor of the host is an error; one number of it becomes part of the kernel, as it is now.
void check_hosts_tensor(const at::Tensor& tensor, const std::string& name) {
  TORCH_CHECK(tensor.dim() == 0,
              name,
              ": expected all tensors to be on one device, but one of ",
              tensor.sizes(),
              " is on the CPU");
  if (!tensor.unsafeGetTensorImpl()->is_wrapped_number() && recording)
    note_wait(name + " with a scalar of the host");
}

/// The argument whose memory a result shares.
const c10::IValue& shared_argument(const c10::FunctionSchema& schema,
                                   const std::vector<c10::IValue>& arguments,
                                   const c10::AliasInfo& alias) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const auto* of_argument = schema.arguments()[i].alias_info();
    if (of_argument != nullptr && of_argument->beforeSets() == alias.beforeSets())
      return arguments[i];
  }
  TORCH_CHECK(false, schema.name(), ": a result shares memory with no argument");
}

c10::IValue result_on_device(const c10::IValue& result,
                             const c10::Argument& declared,
                             const c10::FunctionSchema& schema,
                             const std::vector<c10::IValue>& arguments) {
  const auto* alias = declared.alias_info();
  if (alias == nullptr) return with_tensors(result, on_device);
  const auto& shared = shared_argument(schema, arguments, *alias);
  if (alias->isWrite()) return shared;
  return with_tensors(
      result, [&shared](const at::Tensor& view) { return as_view_of(shared.toTensor(), view); });
}

void compute(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto name = schema.name();
  const auto arguments = torch::jit::pop(*stack, schema.arguments().size());
  if (has_a_size_of_its_values(name)) note_wait(name);
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs;  // of the device, and on the CPU
  for (const auto& argument : arguments) {
    stack->push_back(with_tensors(argument, [&](const at::Tensor& tensor) {
      if (!tensor.defined()) return tensor;
      if (!is_blind(tensor)) {
        check_hosts_tensor(tensor, name);
        return tensor;
      }
      // Empty ones are what an operator that makes its result gets for it.
      pairs.emplace_back(tensor,
                         tensor.numel() > 0
                             ? on_cpu(tensor)
                             : at::empty({0}, tensor.scalar_type()).view(tensor.sizes()));
      return pairs.back().second;
    }));
  }
  {
    const at::AutoDispatchBelowADInplaceOrView below;
    op.callBoxed(stack);
  }
  for (const auto& [tensor, cpu] : pairs) {
    if (tensor.sizes() == cpu.sizes()) continue;
    auto* made = tensor.unsafeGetTensorImpl();
    made->set_storage_keep_dtype(on_device(cpu).storage());
    made->set_sizes_and_strides(cpu.sizes(), cpu.strides(), cpu.storage_offset());
  }
  const auto results = torch::jit::pop(*stack, schema.returns().size());
  for (size_t i = 0; i < results.size(); ++i)
    stack->push_back(result_on_device(results[i], schema.returns()[i], schema, arguments));
}

at::Tensor empty(at::IntArrayRef sizes,
                 std::optional<at::ScalarType> type,
                 std::optional<at::Layout>,
                 std::optional<at::Device>,
                 std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  return on_device(at::empty(sizes, at::TensorOptions(type.value_or(at::kFloat)), format));
}

at::Tensor empty_strided(at::IntArrayRef sizes,
                         at::IntArrayRef strides,
                         std::optional<at::ScalarType> type,
                         std::optional<at::Layout>,
                         std::optional<at::Device>,
                         std::optional<bool>) {
  return on_device(at::empty_strided(sizes, strides, at::TensorOptions(type.value_or(at::kFloat))));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool /*non_blocking*/) {
  if (!is_blind(from)) note_wait("a copy to the device");
  if (!is_blind(to)) note_wait("a copy to the host");
  on_cpu(to).copy_(on_cpu(from));
  return to;
}

at::Scalar item(const at::Tensor& tensor) {
  note_wait("item()");
  return on_cpu(tensor).item();
}

at::Tensor convolution(const at::Tensor& input,
                       const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias,
                       at::IntArrayRef stride,
                       at::IntArrayRef padding,
                       at::IntArrayRef dilation,
                       bool transposed,
                       at::IntArrayRef output_padding,
                       int64_t groups) {
  return on_device(at::convolution(on_cpu(input),
                                   on_cpu(weight),
                                   bias ? std::optional<at::Tensor>(on_cpu(*bias)) : std::nullopt,
                                   stride,
                                   padding,
                                   dilation,
                                   transposed,
                                   output_padding,
                                   groups));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(const at::Tensor& gradient,
                                                                    const at::Tensor& input,
                                                                    const at::Tensor& weight,
                                                                    at::IntArrayRef stride,
                                                                    at::IntArrayRef padding,
                                                                    at::IntArrayRef dilation,
                                                                    bool transposed,
                                                                    at::IntArrayRef output_padding,
                                                                    int64_t groups,
                                                                    std::array<bool, 3> wanted) {
  const auto gradients = at::convolution_backward(on_cpu(gradient),
                                                  on_cpu(input),
                                                  on_cpu(weight),
                                                  at::IntArrayRef{weight.size(0)},
                                                  stride,
                                                  padding,
                                                  dilation,
                                                  transposed,
                                                  output_padding,
                                                  groups,
                                                  wanted);
  return {on_device(std::get<0>(gradients)),
          on_device(std::get<1>(gradients)),
          on_device(std::get<2>(gradients))};
}

TORCH_LIBRARY_IMPL(_, MTIA, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&compute>());
}

TORCH_LIBRARY_IMPL(aten, MTIA, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("_copy_from", copy_from);
  library.impl("_local_scalar_dense", item);
  library.impl("convolution_overrideable", convolution);
  library.impl("convolution_backward_overrideable", convolution_backward);
}

}  // namespace

at::Device blind_device() {
  return at::Device(kType, 0);
}

int64_t waits_for_blind_device() {
  return waits;
}

void while_recorded(const std::function<void()>& work) {
  struct Guard {
    Guard() {
      recording = true;
    }
    ~Guard() {
      recording = false;
    }
  } const guard;
  work();
}

}  // namespace limewash
