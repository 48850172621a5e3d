#pragma once
// A linear layer that can carry a LoRA beside its frozen weight.

#include <cstdint>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

namespace limewash::models {

/// How the weight stands in the file: [out, in], or [out, in, 1, 1] where the reference network has
/// a convolution of size 1. Both are applied to the last dimension of the input.
enum class LinearLayout { kLinear, kConvolution1x1 };

/// y = W x + b, and + (alpha / rank) B A x once a LoRA is installed (Hu et al., "LoRA", 2021). The
/// LoRA's tensors belong to the Adapter: they are no parameters of this module, and are read anew
/// on each call, so that their storage may be replaced.
class LoraLinearImpl : public torch::nn::Module {
 public:
  LoraLinearImpl(int64_t in_features,
                 int64_t out_features,
                 bool with_bias = true,
                 LinearLayout layout = LinearLayout::kLinear);

  /// [..., in] -> [..., out]
  at::Tensor forward(const at::Tensor& input) const;

  /// `a` [rank, in] and `b` [out, rank], with two more dimensions of 1 for kConvolution1x1.
  void install_lora(at::Tensor a, at::Tensor b, double scale);
  void remove_lora();
  void set_lora_enabled(bool enabled);

  int64_t in_features() const;
  int64_t out_features() const;
  LinearLayout layout() const;

  at::Tensor weight;
  at::Tensor bias;  // [out] or undefined

 private:
  LinearLayout layout_;
  at::Tensor lora_a_, lora_b_;
  double lora_scale_ = 1;
  bool lora_enabled_ = false;
};
TORCH_MODULE(LoraLinear);

}  // namespace limewash::models
