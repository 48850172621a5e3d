#pragma once
// The weights of a LoRA by module, whatever layout their file has.

#include <cstdint>
#include <map>
#include <string>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// The LoRA of one module of the UNet.
struct LoraModule {
  at::Tensor a;  ///< [rank, in] or [rank, in, k, k]
  at::Tensor b;  ///< [out, rank] or [out, rank, 1, 1]
  double alpha = 1;

  int64_t rank() const;
};

struct LoraWeights {
  std::map<std::string, LoraModule> modules;    ///< by path in the UNet
  bool use_rslora = false;                      ///< the scale is alpha / sqrt(rank)
  std::map<std::string, std::string> metadata;  ///< of the file, without what describes the LoRA

  /// What B A is multiplied by.
  double scale_of(const LoraModule& module) const;
  /// The value that most modules have; of several, the largest.
  int64_t usual_rank() const;
  double usual_alpha() const;
};

/// alpha / rank, or alpha / sqrt(rank) (Kalajdzievski, "A Rank Stabilization Scaling Factor for
/// Fine-Tuning with LoRA", 2023).
double lora_scale(double alpha, int64_t rank, bool use_rslora);

}  // namespace limewash::models
