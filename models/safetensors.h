#pragma once
// Strict reading and writing of safetensors files (8-byte header length, JSON header, raw tensors).

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace limewash::models {

class MappedFile;

using TensorMap = std::map<std::string, at::Tensor>;

struct SafetensorsFile {
  TensorMap tensors;
  std::map<std::string, std::string> metadata;
  std::shared_ptr<const MappedFile> mapping;  ///< what the tensors lie in
};

/// Read a file, memory-mapped; tensors share the mapping and keep it alive. Everything that the
/// format allows to go wrong (length, JSON, dtype, shape, overlapping, missing or surplus bytes,
/// duplicate keys) is an InputError naming file and key.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// Write atomically, tensors in order of name, data aligned to 8 bytes; equal input gives equal
/// bytes. Floating point tensors are converted to `dtype` where one is given. One tensor after the
/// other, so that memory holds one converted tensor at most.
void write_safetensors(const std::filesystem::path& path,
                       const TensorMap& tensors,
                       const std::map<std::string, std::string>& metadata = {},
                       std::optional<at::ScalarType> dtype = std::nullopt);

}  // namespace limewash::models
