#pragma once
// The tensors that `limewash model run` is given.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "models/safetensors.h"

namespace limewash::models {

/// The input tensors, taken by name; `finish` refuses what nobody took. Every method throws
/// InputError naming file, tensor and what was expected.
class ModelRunInputs {
 public:
  explicit ModelRunInputs(const std::filesystem::path& path);

  /// `shape` has -1 for any size. An undefined tensor where an optional input is absent.
  at::Tensor take(const std::string& name, const std::vector<int64_t>& shape, bool required = true);
  /// The same as fp32; only floating point will do.
  at::Tensor take_float(const std::string& name,
                        const std::vector<int64_t>& shape,
                        bool required = true);
  /// Whole numbers from 0 to `bound` - 1, as int64.
  at::Tensor take_ids(const std::string& name, const std::vector<int64_t>& shape, int64_t bound);
  /// One timestep, or one for each of `batch`; integers or floats.
  at::Tensor take_timesteps(int64_t batch);
  void finish() const;

 private:
  [[noreturn]] void reject_dtype(const std::string& name,
                                 const at::Tensor& tensor,
                                 const char* expected) const;

  std::string path_;
  TensorMap tensors_;
  std::vector<std::string> asked_;
};

}  // namespace limewash::models
