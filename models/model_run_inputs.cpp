#include "models/model_run_inputs.h"

#include <torch/torch.h>

#include "models/strict_json.h"
#include "models/weights.h"
#include "runtime/error.h"

namespace limewash::models {

ModelRunInputs::ModelRunInputs(const std::filesystem::path& path)
    : path_(path.string()), tensors_(read_safetensors(path).tensors) {}

at::Tensor ModelRunInputs::take(const std::string& name,
                                const std::vector<int64_t>& shape,
                                bool required) {
  asked_.push_back(name);
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    if (!required) return {};
    std::string present;
    for (const auto& [key, tensor] : tensors_) {
      present += (present.empty() ? "" : ", ") + printable(key);
    }
    throw InputError(path_ + ": no tensor is named " + name + "; there are: " + printable(present));
  }
  const at::Tensor tensor = found->second;
  tensors_.erase(found);
  bool fits = shape.empty() || static_cast<size_t>(tensor.dim()) == shape.size();
  std::string expected;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (fits && shape[i] >= 0 && tensor.size(static_cast<int64_t>(i)) != shape[i]) fits = false;
    if (fits && tensor.size(static_cast<int64_t>(i)) < 1) fits = false;
    expected +=
        (i == 0 ? "" : ", ") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
  }
  if (!fits) {
    throw InputError(path_ + ": " + name + " has the shape " + shape_text(tensor.sizes()) +
                     ": expected [" + expected + "]");
  }
  return tensor;
}

at::Tensor ModelRunInputs::take_float(const std::string& name,
                                      const std::vector<int64_t>& shape,
                                      bool required) {
  const at::Tensor tensor = take(name, shape, required);
  if (!tensor.defined()) return tensor;
  if (!at::isFloatingType(tensor.scalar_type())) reject_dtype(name, tensor, "floating point");
  return tensor.to(at::kFloat);
}

at::Tensor ModelRunInputs::take_ids(const std::string& name,
                                    const std::vector<int64_t>& shape,
                                    int64_t bound) {
  const at::Tensor tensor = take(name, shape);
  if (!at::isIntegralType(tensor.scalar_type(), /*includeBool=*/false)) {
    reject_dtype(name, tensor, "integers");
  }
  const at::Tensor ids = tensor.to(at::kLong);
  if (ids.min().item<int64_t>() < 0 || ids.max().item<int64_t>() >= bound) {
    throw InputError(path_ + ": " + name + ": expected ids from 0 to " + std::to_string(bound - 1));
  }
  return ids;
}

at::Tensor ModelRunInputs::take_timesteps(int64_t batch) {
  const at::Tensor tensor = take("timestep", {});
  if (tensor.numel() != 1 && !(tensor.dim() == 1 && tensor.size(0) == batch)) {
    throw InputError(path_ + ": timestep has the shape " + shape_text(tensor.sizes()) +
                     ": expected [" + std::to_string(batch) + "] or one number");
  }
  return tensor.reshape({-1}).expand({batch});
}

void ModelRunInputs::finish() const {
  if (tensors_.empty()) return;
  std::string names;
  for (const auto& name : asked_) names += (names.empty() ? "" : ", ") + name;
  throw InputError(path_ + ": " + printable(tensors_.begin()->first) +
                   " is no input of this part; its inputs are " + names);
}

void ModelRunInputs::reject_dtype(const std::string& name,
                                  const at::Tensor& tensor,
                                  const char* expected) const {
  throw InputError(path_ + ": " + name + " has the dtype " + at::toString(tensor.scalar_type()) +
                   ": expected " + expected);
}

}  // namespace limewash::models
