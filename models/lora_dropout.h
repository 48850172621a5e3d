#pragma once
// Dropout before a LoRA's A whose masks depend on the sample and not on its place in a batch.

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// What the masks of one sample are drawn from, besides seed and layer.
struct DropoutKey {
  uint64_t epoch = 0;
  uint64_t sample = 0;  ///< stable id of the sample
};

/// Srivastava et al., "Dropout", 2014, as peft applies it: each number of A's input is zero with
/// the given probability and otherwise divided by (1 - probability). A mask is a pure function of
/// (seed, epoch, sample, layer), so that neither ranks nor batch sizes change it, and a block that
/// is computed again for its gradient sees the same one. Drawn on the CPU, whatever the input's
/// device.
class LoraDropout {
 public:
  /// `probability` in [0, 1).
  explicit LoraDropout(double probability);

  /// From here on inputs are dropped out, row i of a batch by `keys[i]`.
  void begin(uint64_t seed, std::vector<DropoutKey> keys);
  /// From here on inputs pass unchanged; so they do before the first `begin`.
  void end();

  /// `input` [N, ...] with N keys; `layer` is the stable id of the layer's name.
  at::Tensor apply(const at::Tensor& input, uint64_t layer) const;

 private:
  double probability_;
  bool active_ = false;
  uint64_t seed_ = 0;
  std::vector<DropoutKey> keys_;
};

}  // namespace limewash::models
