#include "trainer/flat_parameters.h"

#include <sstream>

#include <torch/torch.h>

namespace limewash::trainer {

FlatParameters::FlatParameters(std::vector<models::NamedParameter> parameters, int64_t tail)
    : FlatParameters(
          parameters,
          tail,
          parameters.empty() ? at::Device(at::kCPU) : parameters.front().tensor.device()) {}

FlatParameters::FlatParameters(std::vector<models::NamedParameter> parameters,
                               int64_t tail,
                               at::Device device)
    : parameters_(std::move(parameters)) {
  torch::NoGradGuard no_grad;
  for (const auto& parameter : parameters_) {
    TORCH_CHECK(parameter.tensor.scalar_type() == torch::kFloat,
                parameter.name,
                ": expected a float32 parameter, but got ",
                parameter.tensor.scalar_type());
    size_ += parameter.tensor.numel();
  }
  values_ = torch::empty({size_}, device);
  reduced_ = torch::zeros({size_ + tail}, device);
  int64_t offset = 0;
  for (auto& parameter : parameters_) {
    auto& tensor = parameter.tensor;
    const int64_t count = tensor.numel();
    auto view = values_.narrow(0, offset, count).view(tensor.sizes());
    view.copy_(tensor);
    tensor.set_data(view);
    tensor.mutable_grad() = reduced_.narrow(0, offset, count).view(tensor.sizes());
    offset += count;
  }
}

void FlatParameters::give_back_frozen() {
  torch::NoGradGuard no_grad;
  for (auto& parameter : parameters_) {
    auto& tensor = parameter.tensor;
    if (tensor.requires_grad()) continue;
    const auto layout =
        tensor.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
    tensor.set_data(tensor.clone(layout));
  }
}

at::Tensor& FlatParameters::values() {
  return values_;
}

at::Tensor& FlatParameters::reduced() {
  return reduced_;
}

at::Tensor FlatParameters::gradients() const {
  return reduced_.narrow(0, 0, size_);
}

at::Tensor FlatParameters::tail() const {
  return reduced_.narrow(0, size_, reduced_.numel() - size_);
}

void FlatParameters::zero() {
  reduced_.zero_();
}

int64_t FlatParameters::size() const {
  return size_;
}

std::string layout_of(const std::vector<models::NamedParameter>& parameters) {
  std::ostringstream text;
  for (const auto& parameter : parameters) {
    text << parameter.name << ':' << parameter.tensor.sizes() << '\n';
  }
  return text.str();
}

}  // namespace limewash::trainer
