#include "models/device_constant.h"

#include <list>
#include <mutex>
#include <utility>

#include <torch/torch.h>

namespace limewash::models {

struct DeviceConstant::Copies {
  std::mutex mutex;
  std::list<at::Tensor> tensors;  // one a device; a list, since they are referred to
};

DeviceConstant::DeviceConstant(at::Tensor values)
    : values_(std::move(values)), copies_(std::make_shared<Copies>()) {
  TORCH_CHECK(values_.is_cpu(), "device constant: expected values on the CPU");
}

const at::Tensor& DeviceConstant::on(at::Device device) const {
  if (device.is_cpu()) return values_;
  const std::lock_guard lock(copies_->mutex);
  for (const auto& tensor : copies_->tensors) {
    // "cuda" without a number is the current one, and tensors always have a number.
    if (tensor.device().type() == device.type() &&
        (!device.has_index() || tensor.device() == device))
      return tensor;
  }
  return copies_->tensors.emplace_back(values_.to(device));
}

}  // namespace limewash::models
