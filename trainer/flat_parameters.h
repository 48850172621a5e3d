#pragma once
// The trainable tensors as views of one flat buffer, and their gradients as views of another: one
// all-reduce, one norm and one optimizer call a step, however many tensors there are.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/adapter.h"

namespace limewash::trainer {

class FlatParameters {
 public:
  /// Move the storage of `parameters` (float32 leaves) into one buffer; their values stay. Behind
  /// the gradients the gradient buffer has `tail` more floats for scalars that are to be summed
  /// over ranks with them.
  FlatParameters(std::vector<models::NamedParameter> parameters, int64_t tail);
  /// The same, and move them all to `device`.
  FlatParameters(std::vector<models::NamedParameter> parameters, int64_t tail, at::Device device);

  /// Give what is no longer trained (requires_grad) storage of its own again, in the layout that
  /// layers have their frozen weights in: channels last for convolutions.
  void give_back_frozen();

  /// All weights, [size()], float32. In-place changes are changes of the weights.
  at::Tensor& values();
  /// All gradients followed by the tail, [size() + tail]: what is reduced.
  at::Tensor& reduced();
  /// All gradients, [size()]: a view of reduced().
  at::Tensor gradients() const;
  /// The scalars behind the gradients, [tail]: a view of reduced().
  at::Tensor tail() const;
  /// Set gradients and tail to zero.
  void zero();
  int64_t size() const;

 private:
  std::vector<models::NamedParameter> parameters_;
  at::Tensor values_, reduced_;
  int64_t size_ = 0;
};

/// "name:shape" of each tensor in order: what a checkpoint compares.
std::string layout_of(const std::vector<models::NamedParameter>& parameters);

}  // namespace limewash::trainer
