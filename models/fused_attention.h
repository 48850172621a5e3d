#pragma once
// Attention on a CPU in one pass over blocks of queries and keys: LibTorch's small products
// (oneDNN's, on AMX in bfloat16) with float32 sums, and between them a softmax of our own that
// writes the numbers as the next product reads them (Dao et al., "FlashAttention-2", 2023).

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// Whether fused_attention takes tensors like this one: on a CPU, float32, or bfloat16 where AMX
/// is. Without AMX the small bfloat16 products are slower than large ones.
bool fused_attention_takes(const at::Tensor& query);

/// `query` [N, heads, S, d], `key` and `value` [N, heads, T, d] -> [N, heads, S, d], the heads of a
/// token side by side in memory. `logarithms` [N * heads, S], float32, is filled with the logarithm
/// of each query's sum of exp(score), for the way back. Not differentiable; the same numbers for
/// any number of threads.
at::Tensor fused_attention(const at::Tensor& query,
                           const at::Tensor& key,
                           const at::Tensor& value,
                           const at::Tensor& logarithms);

struct AttentionGradients {
  at::Tensor query, key, value;
};

/// The way back, from `gradient` at the output, of its type.
AttentionGradients fused_attention_backward(const at::Tensor& query,
                                            const at::Tensor& key,
                                            const at::Tensor& value,
                                            const at::Tensor& output,
                                            const at::Tensor& logarithms,
                                            const at::Tensor& gradient);

}  // namespace limewash::models
