#include "models/named_parameter.h"

#include <algorithm>

#include <torch/torch.h>

#include "models/strict_json.h"
#include "models/verified_safetensors.h"
#include "models/weights.h"
#include "runtime/error.h"
#include "runtime/random.h"

namespace limewash::models {

namespace {

TensorMap host_copy(const std::vector<NamedParameter>& parameters) {
  TensorMap tensors;
  for (const auto& [name, tensor] : parameters) {
    tensors.emplace(name, tensor.detach().to(at::kCPU, at::kFloat).contiguous());
  }
  return tensors;
}

}  // namespace

at::Tensor uniform_start(at::IntArrayRef shape,
                         double bound,
                         uint64_t seed,
                         const std::string& name) {
  at::Tensor values = at::empty(shape);
  RandomStream stream(seed, Purpose::kInitialization, 0, stable_id(name));
  const auto limit = static_cast<float>(bound);
  float* data = values.data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) data[i] = stream.uniform(-limit, limit);
  return values;
}

at::Tensor normal_start(at::IntArrayRef shape,
                        double deviation,
                        uint64_t seed,
                        const std::string& name) {
  at::Tensor values = at::empty(shape);
  RandomStream stream(seed, Purpose::kInitialization, 0, stable_id(name));
  stream.fill_normal({values.data_ptr<float>(), static_cast<size_t>(values.numel())});
  return values.mul_(deviation);
}

void sort_by_name(std::vector<NamedParameter>& parameters) {
  std::sort(parameters.begin(), parameters.end(), [](const auto& a, const auto& b) {
    return a.name < b.name;
  });
}

void write_parameters(const std::filesystem::path& path,
                      const std::vector<NamedParameter>& parameters,
                      const std::map<std::string, std::string>& metadata) {
  write_verified_safetensors(path, host_copy(parameters), metadata);
}

void copy_parameters(const TensorMap& tensors,
                     const std::string& file,
                     std::vector<NamedParameter>& parameters) {
  torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : parameters) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      throw InputError(file + ": missing tensor " + name + " " + shape_text(tensor.sizes()));
    }
    if (found->second.sizes() != tensor.sizes() ||
        !at::isFloatingType(found->second.scalar_type())) {
      throw InputError(file + ": " + name + " has " + at::toString(found->second.scalar_type()) +
                       " " + shape_text(found->second.sizes()) +
                       ", the adapter needs floating point " + shape_text(tensor.sizes()));
    }
  }
  if (tensors.size() != parameters.size()) {
    for (const auto& [name, tensor] : tensors) {
      const bool known = std::any_of(parameters.begin(),
                                     parameters.end(),
                                     [&](const auto& parameter) { return parameter.name == name; });
      if (!known)
        throw InputError(file + ": surplus tensor " + printable(name) + ": the adapter has none");
    }
  }
  for (auto& [name, tensor] : parameters) tensor.copy_(tensors.at(name));
}

}  // namespace limewash::models
