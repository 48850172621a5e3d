#include "models/blocked_attention.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <torch/torch.h>

#include "models/frozen.h"
#include "models/fused_attention.h"
#include "models/onednn.h"
#include "models/parallel.h"
#include "models/softmax_kernel.h"

namespace limewash::models {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Scores of a block of queries: what a core's cache holds.
constexpr int64_t kScoresInBlock = int64_t{1} << 19;
constexpr int64_t kFewestQueries = 32;

struct Sizes {
  int64_t batch, heads, queries, keys, width;

  Sizes(const at::Tensor& query, const at::Tensor& key)
      : batch(query.size(0)),
        heads(query.size(1)),
        queries(query.size(2)),
        keys(key.size(2)),
        width(query.size(3)) {}

  int64_t block() const {
    return std::clamp(kScoresInBlock / keys, std::min(kFewestQueries, queries), queries);
  }
  int64_t blocks() const {
    return (queries + block() - 1) / block();
  }
  float scale() const {
    return static_cast<float>(1 / std::sqrt(static_cast<double>(width)));
  }
};

/// The numbers of a contiguous tensor as kernels see them.
Bfloat16Bits* numbers_of(const at::Tensor& tensor) {
  return reinterpret_cast<Bfloat16Bits*>(tensor.data_ptr<at::BFloat16>());
}

/// [N, heads, L, d] -> [N * heads, L, d], contiguous.
at::Tensor by_head(const at::Tensor& tensor) {
  return tensor.contiguous().flatten(0, 1);
}

/// Room for [N, heads, L, d] with the heads of a token side by side, as the layers around have it.
at::Tensor empty_tokens(const Sizes& sizes, int64_t length, const at::Tensor& like) {
  return at::empty({sizes.batch, length, sizes.heads, sizes.width}, like.options()).transpose(1, 2);
}

/// Call `task(head)` for all N * heads, on several threads; none of them differentiates.
template <class Task>
void for_tasks(int64_t count, const Task& task) {
  parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_autograd;
    for (int64_t i = begin; i < end; ++i) task(i);
  });
}

/// Returns the output; `logarithms` [N * heads, S], float32, is filled for the way back.
at::Tensor compute_forward(const at::Tensor& query,
                           const at::Tensor& key,
                           const at::Tensor& value,
                           const at::Tensor& logarithms) {
  if (fused_attention_takes(query)) return fused_attention(query, key, value, logarithms);
  const Sizes sizes(query, key);
  const auto queries = by_head(query), keys = by_head(key), values = by_head(value);
  const at::Tensor output = empty_tokens(sizes, sizes.queries, query);
  const int64_t block = sizes.block(), blocks = sizes.blocks();
  for_tasks(sizes.batch * sizes.heads * blocks, [&](int64_t task) {
    const int64_t head = task / blocks, first = task % blocks * block;
    const int64_t count = std::min(block, sizes.queries - first);
    const at::Tensor scores = onednn_product(queries[head].narrow(0, first, count), keys[head].t());
    const at::Tensor sums = at::empty({count, 1}, logarithms.options());
    exponentials({count, sizes.keys, sizes.scale()},
                 numbers_of(scores),
                 sums.data_ptr<float>(),
                 logarithms.data_ptr<float>() + head * sizes.queries + first);
    at::Tensor part = output[head / sizes.heads][head % sizes.heads].narrow(0, first, count);
    at::div_out(part, onednn_product(scores, values[head]), sums);
  });
  return output;
}

AttentionGradients compute_backward(const at::Tensor& query,
                                    const at::Tensor& key,
                                    const at::Tensor& value,
                                    const at::Tensor& output,
                                    const at::Tensor& logarithms,
                                    const at::Tensor& gradient) {
  if (fused_attention_takes(query)) {
    return fused_attention_backward(query, key, value, output, logarithms, gradient);
  }
  const Sizes sizes(query, key);
  const auto queries = by_head(query), keys = by_head(key), values = by_head(value);
  const auto gradients = by_head(gradient);
  const at::Tensor delta =
      (gradient.to(at::kFloat) * output).sum(-1, /*keepdim=*/false, at::kFloat).contiguous();
  const AttentionGradients result{empty_tokens(sizes, sizes.queries, query),
                                  empty_tokens(sizes, sizes.keys, key),
                                  empty_tokens(sizes, sizes.keys, value)};
  const int64_t block = sizes.block();
  for_tasks(sizes.batch * sizes.heads, [&](int64_t head) {
    const auto of_head = [&](const at::Tensor& tensor) {
      return tensor[head / sizes.heads][head % sizes.heads];
    };
    // Transposed, [d, T]: products with few rows are the fast ones.
    const auto of_keys = at::zeros({sizes.width, sizes.keys}, logarithms.options());
    const auto of_values = at::zeros_like(of_keys);
    const at::Tensor values_transposed = values[head].t(), keys_transposed = keys[head].t();
    for (int64_t first = 0; first < sizes.queries; first += block) {
      const int64_t count = std::min(block, sizes.queries - first);
      const at::Tensor rows = queries[head].narrow(0, first, count);
      const at::Tensor gradient_rows = gradients[head].narrow(0, first, count);
      const at::Tensor weights = onednn_product(rows, keys_transposed);
      const at::Tensor of_scores = onednn_product(gradient_rows, values_transposed);
      const int64_t place = head * sizes.queries + first;
      softmax_backward({count, sizes.keys, sizes.scale()},
                       numbers_of(weights),
                       numbers_of(of_scores),
                       logarithms.data_ptr<float>() + place,
                       delta.data_ptr<float>() + place);
      of_values.add_(onednn_product(gradient_rows.t(), weights));
      of_keys.add_(onednn_product(rows.t(), of_scores));
      of_head(result.query).narrow(0, first, count).copy_(onednn_product(of_scores, keys[head]));
    }
    of_head(result.key).copy_(of_keys.t());
    of_head(result.value).copy_(of_values.t());
  });
  return result;
}

at::Tensor empty_logarithms(const at::Tensor& query) {
  return at::empty({query.size(0) * query.size(1), query.size(2)},
                   query.options().dtype(at::kFloat));
}

class BlockedAttention : public torch::autograd::Function<BlockedAttention> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& query,
                            const at::Tensor& key,
                            const at::Tensor& value) {
    const at::Tensor logarithms = empty_logarithms(query);
    at::Tensor output = compute_forward(query, key, value, logarithms);
    context->save_for_backward({query, key, value, output, logarithms});
    return output;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "blocked_attention has no second derivative");
    const auto saved = context->get_saved_variables();
    auto result = compute_backward(
        saved[0], saved[1], saved[2], saved[3], saved[4], gradients[0].to(saved[0].scalar_type()));
    return {std::move(result.query), std::move(result.key), std::move(result.value)};
  }
};

}  // namespace

bool blocked_attention_takes(const at::Tensor& query) {
  return fused_attention_takes(query) ||
         (query.scalar_type() == at::kBFloat16 && onednn_takes(query));
}

at::Tensor blocked_attention(const at::Tensor& query,
                             const at::Tensor& key,
                             const at::Tensor& value) {
  TORCH_CHECK(query.size(2) > 0 && key.size(2) > 0 && key.sizes() == value.sizes() &&
                  query.size(0) == key.size(0) && query.size(1) == key.size(1) &&
                  query.size(3) == key.size(3) && query.scalar_type() == key.scalar_type() &&
                  query.scalar_type() == value.scalar_type() && key.device().is_cpu() &&
                  value.device().is_cpu(),
              "blocked_attention: query ",
              query.sizes(),
              " ",
              query.scalar_type(),
              ", key ",
              key.sizes(),
              " ",
              key.scalar_type(),
              ", value ",
              value.sizes(),
              " ",
              value.scalar_type());
  const bool differentiated =
      is_differentiated(query) || is_differentiated(key) || is_differentiated(value);
  if (!differentiated) return compute_forward(query, key, value, empty_logarithms(query));
  return BlockedAttention::apply(query, key, value);
}

}  // namespace limewash::models
