#include "models/verified_safetensors.h"

#include <cstring>

#include <torch/torch.h>

#include "runtime/error.h"

namespace limewash::models {

bool same_bits(const at::Tensor& one, const at::Tensor& other) {
  if (one.scalar_type() != other.scalar_type() || one.sizes() != other.sizes()) return false;
  const at::Tensor left = one.contiguous(), right = other.contiguous();
  return left.numel() == 0 ||
         std::memcmp(left.const_data_ptr(), right.const_data_ptr(), left.nbytes()) == 0;
}

at::Tensor converted_for_file(const at::Tensor& tensor,
                              at::ScalarType type,
                              const std::string& file,
                              const std::string& name) {
  const at::Tensor values = tensor.detach().to(at::kCPU).contiguous();
  const at::Tensor result = values.to(type);
  if (type != values.scalar_type() && !result.isfinite().all().item<bool>() &&
      values.isfinite().all().item<bool>()) {
    throw InputError(file + ": " + name + " has values that " + at::toString(type) +
                     " cannot hold: expected another --precision");
  }
  return result;
}

void write_verified_safetensors(const std::filesystem::path& path,
                                const TensorMap& tensors,
                                const std::map<std::string, std::string>& metadata) {
  write_safetensors(path, tensors, metadata);
  const SafetensorsFile back = read_safetensors(path);
  bool equal = back.tensors.size() == tensors.size() && back.metadata == metadata;
  for (auto ours = tensors.begin(), theirs = back.tensors.begin(); equal && ours != tensors.end();
       ++ours, ++theirs) {
    equal = ours->first == theirs->first && same_bits(ours->second, theirs->second);
  }
  if (!equal) refuse_unequal(path);
}

void refuse_unequal(const std::filesystem::path& path) {
  throw InputError(path.string() + ": what was written does not read back to the same values");
}

}  // namespace limewash::models
