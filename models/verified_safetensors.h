#pragma once
// Files that count as written only when they read back to what was meant.

#include <filesystem>
#include <map>
#include <string>

#include <ATen/core/Tensor.h>

#include "models/safetensors.h"

namespace limewash::models {

/// Type, shape and every bit are the same. A NaN equals itself.
bool same_bits(const at::Tensor& one, const at::Tensor& other);

/// `tensor` on the CPU in the type of a file. Throws InputError "FILE: NAME has values that TYPE
/// cannot hold" where a finite number would become infinite.
at::Tensor converted_for_file(const at::Tensor& tensor,
                              at::ScalarType type,
                              const std::string& file,
                              const std::string& name);

/// Write with write_safetensors and read back; other tensors or metadata are an InputError.
void write_verified_safetensors(const std::filesystem::path& path,
                                const TensorMap& tensors,
                                const std::map<std::string, std::string>& metadata);

/// "FILE: what was written does not read back to the same values".
[[noreturn]] void refuse_unequal(const std::filesystem::path& path);

}  // namespace limewash::models
