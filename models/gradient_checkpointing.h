#pragma once
// Less memory for the backward pass: a layer's intermediate tensors are computed again instead of
// kept (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016; torch.utils.checkpoint
// without re-entry).

#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// Run `layer` on `inputs` (undefined tensors pass) and give its result. Where gradients are
/// recorded, autograd keeps the inputs instead of the tensors that `layer` saves, and runs `layer`
/// again when the backward pass arrives. The graph is the same as without, and so is the order of
/// every sum: gradients are equal bit for bit where the layer's operations are deterministic.
/// `layer` must be a pure function of `inputs` and of tensors that stay as they are until the
/// backward pass, and must give the same number of saved tensors each time.
at::Tensor checkpoint(std::function<at::Tensor(const std::vector<at::Tensor>& inputs)> layer,
                      std::vector<at::Tensor> inputs);

}  // namespace limewash::models
