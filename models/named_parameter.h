#pragma once
// Trainable tensors with the names of the exported files: how they start, and how they reach a
// file and come back.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/safetensors.h"

namespace limewash::models {

struct NamedParameter {
  std::string name;  ///< as in the exported file, unique over LoRA and IP-Adapter
  at::Tensor tensor;
};

/// Uniform in [-bound, bound), fp32 on the CPU, a pure function of seed and name.
at::Tensor uniform_start(at::IntArrayRef shape,
                         double bound,
                         uint64_t seed,
                         const std::string& name);

/// Normal with mean 0, in the same way.
at::Tensor normal_start(at::IntArrayRef shape,
                        double deviation,
                        uint64_t seed,
                        const std::string& name);

/// File order.
void sort_by_name(std::vector<NamedParameter>& parameters);

/// Write the parameters as fp32 safetensors and read them back. A file that does not give the same
/// bits and metadata does not count as written: InputError.
void write_parameters(const std::filesystem::path& path,
                      const std::vector<NamedParameter>& parameters,
                      const std::map<std::string, std::string>& metadata);

/// Copy tensors of `file` into the parameters. Missing and surplus names, other shapes and integers
/// are an InputError naming file, tensor and both shapes.
void copy_parameters(const TensorMap& tensors,
                     const std::string& file,
                     std::vector<NamedParameter>& parameters);

}  // namespace limewash::models
