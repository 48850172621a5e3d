#pragma once
// Attention on a CPU, a block of queries at a time: the products by oneDNN, between them a softmax
// of our own, and nothing kept of it but one number a query (Dao et al., "FlashAttention", 2022).
// LibTorch's fused operator computes the same; its blocks are too small for oneDNN's kernels.

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// Whether blocked_attention takes tensors like this one: on a CPU, of a type that oneDNN computes.
bool blocked_attention_takes(const at::Tensor& query);

/// `query` [N, heads, S, d], `key` and `value` [N, heads, T, d] -> [N, heads, S, d], as
/// scaled_dot_product_attention; differentiable once. In bfloat16 a query's scores are rounded.
/// The same numbers for any number of threads, but where there is a single task for them: one head.
at::Tensor blocked_attention(const at::Tensor& query,
                             const at::Tensor& key,
                             const at::Tensor& value);

}  // namespace limewash::models
