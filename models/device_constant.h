#pragma once
// Tables that kernels read, on whatever device they run.

#include <memory>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// A constant tensor, copied to each device the first time that it is asked for there: a copy in
/// every step would have the host wait for the device, and can be no part of a CUDA graph. Copies
/// of this object share the tensors; any thread may ask.
class DeviceConstant {
 public:
  /// `values` on the CPU, which nobody changes any more.
  explicit DeviceConstant(at::Tensor values);
  /// The values on `device`.
  const at::Tensor& on(at::Device device) const;

 private:
  struct Copies;
  at::Tensor values_;
  std::shared_ptr<Copies> copies_;
};

}  // namespace limewash::models
