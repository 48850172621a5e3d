#pragma once
// What linear layers and convolutions share when they carry a LoRA.

#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>

#include "models/lora_dropout.h"

namespace limewash::models {

/// The trainable branch beside one frozen layer. Its tensors belong to Lora; they are read anew on
/// each call, so that their storage may be replaced.
struct LoraBranch {
  at::Tensor a;  ///< [rank, in] or [rank, in, k, k]: the weight's shape with `rank` outputs
  at::Tensor b;  ///< [out, rank] or [out, rank, 1, 1]
  double scale = 1;
  std::shared_ptr<const LoraDropout> dropout;  ///< null: none
  uint64_t id = 0;                             ///< stable id of the layer's name
};

/// A frozen layer that computes W x + b, and + scale * B A x while a LoRA is installed and enabled
/// (Hu et al., "LoRA", 2021). The branch is no parameter of the module. Its tensors are cast to the
/// type of the input.
class LoraLayer {
 public:
  LoraLayer() = default;
  virtual ~LoraLayer() = default;
  LoraLayer(const LoraLayer&) = delete;
  LoraLayer& operator=(const LoraLayer&) = delete;

  /// [out, in] or [out, in, k, k].
  virtual const at::Tensor& lora_base_weight() const = 0;

  void install_lora(LoraBranch branch);
  /// Takes the branch out; a merged one is taken out of the weight too.
  void remove_lora();
  /// Off: the layer computes what the base computes, merged or not.
  void set_lora_enabled(bool enabled);

  /// Fold the branch into the weight, so that it costs nothing. The weight's own values are kept:
  /// after `unmerge_lora` it has the same bits as before. Between the two the branch must not
  /// change, and the layer must not be moved or converted.
  void merge_lora();
  void unmerge_lora();
  bool lora_merged() const;
  /// Whether rows of an input that are equal may come out different.
  bool lora_drops_out() const;

 protected:
  /// Whether the branch is to be added to the output.
  bool adds_lora() const;
  const LoraBranch& lora() const;
  /// The input of A: `input`, dropped out while training.
  at::Tensor lora_input(const at::Tensor& input) const;

 private:
  void show_merged(bool merged);

  LoraBranch branch_;
  bool enabled_ = false;
  at::Tensor own_weight_, merged_weight_;  // defined while merged
  bool shows_merged_ = false;
};

}  // namespace limewash::models
