#pragma once
// What networks are computed on and in, and files are written in, by their names.

#include <string>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

namespace limewash::models {

/// `fp32` or `bf16` -> the type of frozen weights and activations. Trained tensors, sums, norms'
/// statistics and the loss are fp32 either way. Throws ConfigError naming `key` for another word.
c10::ScalarType compute_type(const std::string& precision,
                             const std::string& key = "run.precision");

/// `auto`, `cpu` or `cuda` -> the CPU, or this process's current GPU (the one that its communicator
/// took for it). `auto` is the GPU where there is one.
c10::Device compute_device(const std::string& choice);

/// `fp32`, `fp16` or `bf16` -> the type of a file's tensors. Throws ConfigError naming `key` for
/// another word.
c10::ScalarType file_type(const std::string& precision, const std::string& key = "--precision");

}  // namespace limewash::models
