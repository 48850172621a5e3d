#pragma once
// Attention on a CPU by blocks, of which nothing is kept but one number a query (Dao et al.,
// "FlashAttention", 2022): fused (models/fused_attention.h), or, in bfloat16 without AMX, a block
// of queries at a time by oneDNN's large products with a softmax of our own between them.
// LibTorch's fused operator computes the same.

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// Whether blocked_attention takes tensors like this one: on a CPU, of a type that it computes
/// fast.
bool blocked_attention_takes(const at::Tensor& query);

/// `query` [N, heads, S, d], `key` and `value` [N, heads, T, d] -> [N, heads, S, d], as
/// scaled_dot_product_attention; differentiable once. In bfloat16 without AMX a query's scores are
/// rounded. The same numbers for any number of threads, but, without AMX, where there is a single
/// task for them: one head.
at::Tensor blocked_attention(const at::Tensor& query,
                             const at::Tensor& key,
                             const at::Tensor& value);

}  // namespace limewash::models
