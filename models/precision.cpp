#include "models/precision.h"

#include "runtime/error.h"
#include "runtime/rank_gpu.h"

namespace limewash::models {

c10::ScalarType compute_type(const std::string& precision, const std::string& key) {
  if (precision == "fp32") return c10::ScalarType::Float;
  if (precision == "bf16") return c10::ScalarType::BFloat16;
  throw ConfigError(key + " is '" + precision + "': expected fp32 or bf16");
}

c10::Device compute_device(const std::string& choice) {
  return rank_device(choice) == RankDevice::kGpu ? c10::kCUDA : c10::kCPU;
}

c10::ScalarType file_type(const std::string& precision, const std::string& key) {
  if (precision == "fp32") return c10::ScalarType::Float;
  if (precision == "fp16") return c10::ScalarType::Half;
  if (precision == "bf16") return c10::ScalarType::BFloat16;
  throw ConfigError(key + " is '" + precision + "': expected fp32, fp16 or bf16");
}

}  // namespace limewash::models
