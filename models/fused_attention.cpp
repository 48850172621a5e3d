#include "models/fused_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <torch/torch.h>

#include "models/attention_kernel.h"
#include "models/onednn.h"
#include "models/parallel.h"
#include "models/small_products.h"

namespace limewash::models {

namespace {

/// A block's products, in each of the forms that it takes on the way back, fit into a core's cache.
constexpr int64_t kQueriesInBlock = 128;
constexpr int64_t kKeysInBlock = 256;

struct Sizes {
  int64_t batch, heads, queries, keys, width;

  Sizes(const at::Tensor& query, const at::Tensor& key)
      : batch(query.size(0)),
        heads(query.size(1)),
        queries(query.size(2)),
        keys(key.size(2)),
        width(query.size(3)) {}

  int64_t all_heads() const {
    return batch * heads;
  }
  int64_t query_blocks() const {
    return (queries + kQueriesInBlock - 1) / kQueriesInBlock;
  }
  int64_t key_blocks() const {
    return (keys + kKeysInBlock - 1) / kKeysInBlock;
  }
  float scale() const {
    return static_cast<float>(1 / std::sqrt(static_cast<double>(width)));
  }

  template <class Number>
  Scores scores(int64_t query_count, int64_t key_count) const {
    return {
        query_count, key_count, padded<Number>(query_count), padded<Number>(key_count), scale()};
  }
};

/// Room for [N, heads, L, d] with the heads of a token side by side, as the layers around have it.
at::Tensor empty_tokens(const Sizes& sizes, int64_t length, const at::Tensor& like) {
  return at::empty({sizes.batch, length, sizes.heads, sizes.width}, like.options()).transpose(1, 2);
}

/// The numbers of a token's head lie together.
at::Tensor readable(const at::Tensor& tensor) {
  return tensor.stride(3) == 1 ? tensor : tensor.contiguous();
}

/// Rows [first, first + at most `most`) of a head of [N, heads, L, d].
template <class Number>
TensorRows<Number> rows_of(const at::Tensor& tensor, int64_t head, int64_t first, int64_t most) {
  const auto* numbers = static_cast<const Number*>(tensor.const_data_ptr());
  numbers += head / tensor.size(1) * tensor.stride(0) + head % tensor.size(1) * tensor.stride(1) +
             first * tensor.stride(2);
  return {numbers, tensor.stride(2), std::min(most, tensor.size(2) - first), tensor.size(3)};
}

/// The same, to write to.
template <class Number>
Number* place_of(const at::Tensor& tensor, int64_t head, int64_t first) {
  return const_cast<Number*>(rows_of<Number>(tensor, head, first, 1).first);
}

/// Call `body(begin, end)` for parts of [0, count) on several threads.
template <class Number, class Body>
void for_tasks(int64_t count, const Body& body) {
  parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    const ProductsScope<Number> products;
    body(begin, end);
  });
}

/// Keys and values of all heads as right sides, block after block.
template <class Number>
class RightSides {
 public:
  RightSides(const Sizes& sizes, const at::Tensor& key, const at::Tensor& value)
      : sizes_(sizes),
        keys_in_block_(padded<Number>(sizes.width) * std::min(kKeysInBlock, sizes.keys)),
        values_in_block_(sizes.width * padded<Number>(std::min(kKeysInBlock, sizes.keys))),
        memory_(Workspace::size_of<Number>(sizes.all_heads() * sizes.key_blocks() *
                                           (keys_in_block_ + values_in_block_))),
        keys_(memory_.take<Number>(0)) {
    const int64_t blocks = sizes.key_blocks();
    parallel_for(0, sizes.all_heads() * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t head = i / blocks, first = i % blocks * kKeysInBlock;
        const auto some_keys = rows_of<Number>(key, head, first, kKeysInBlock);
        const auto some_values = rows_of<Number>(value, head, first, kKeysInBlock);
        lay_right_transposed(some_keys, padded<Number>(sizes.width), place(i));
        lay_right(some_values, padded<Number>(some_values.count), place(i) + keys_in_block_);
      }
    });
  }

  /// Keys transposed, [padded width, keys].
  const Number* keys(int64_t head, int64_t block) const {
    return place(head * sizes_.key_blocks() + block);
  }
  /// Values, [padded keys, width].
  const Number* values(int64_t head, int64_t block) const {
    return keys(head, block) + keys_in_block_;
  }

 private:
  Number* place(int64_t i) const {
    return keys_ + i * (keys_in_block_ + values_in_block_);
  }

  Sizes sizes_;
  int64_t keys_in_block_, values_in_block_;
  Workspace memory_;
  Number* keys_;
};

template <class Number>
void compute_forward(const at::Tensor& query,
                     const at::Tensor& key,
                     const at::Tensor& value,
                     const at::Tensor& output,
                     const at::Tensor& logarithms) {
  const Sizes sizes(query, key);
  const RightSides<Number> right(sizes, key, value);
  const int64_t width = sizes.width, depth = padded<Number>(width);
  for_tasks<Number>(sizes.all_heads() * sizes.query_blocks(), [&](int64_t begin, int64_t end) {
    constexpr int64_t kProducts = kQueriesInBlock * kKeysInBlock;
    Workspace memory(Workspace::size_of<Number>(kQueriesInBlock * depth) +
                     Workspace::size_of<float>(kProducts) + Workspace::size_of<Number>(kProducts) +
                     Workspace::size_of<float>(kQueriesInBlock * width) +
                     2 * Workspace::size_of<float>(kQueriesInBlock));
    auto* left = memory.take<Number>(kQueriesInBlock * depth);
    auto* products = memory.take<float>(kProducts);
    auto* weights = memory.take<Number>(kProducts);
    RunningSoftmax running;
    running.output = memory.take<float>(kQueriesInBlock * width);
    running.largest = memory.take<float>(kQueriesInBlock);
    running.sums = memory.take<float>(kQueriesInBlock);
    running.width = width;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t head = task / sizes.query_blocks();
      const int64_t first = task % sizes.query_blocks() * kQueriesInBlock;
      const auto rows = rows_of<Number>(query, head, first, kQueriesInBlock);
      lay_left(rows, depth, left);
      std::fill_n(running.output, rows.count * width, 0.0F);
      std::fill_n(running.sums, rows.count, 0.0F);
      std::fill_n(running.largest, rows.count, -std::numeric_limits<float>::infinity());
      for (int64_t block = 0; block < sizes.key_blocks(); ++block) {
        const int64_t keys = std::min(kKeysInBlock, sizes.keys - block * kKeysInBlock);
        const auto scores = sizes.scores<Number>(rows.count, keys);
        Product<Number>{rows.count, keys, depth}(left, right.keys(head, block), products, false);
        continue_softmax(scores, products, running, weights);
        Product<Number>{rows.count, width, scores.padded_keys}(
            weights, right.values(head, block), running.output, true);
      }
      finish_softmax(running,
                     sizes.scores<Number>(rows.count, sizes.keys),
                     output.stride(2),
                     place_of<Number>(output, head, first),
                     logarithms.data_ptr<float>() + head * sizes.queries + first);
    }
  });
}

/// The way back for one head after another, on one thread: all queries, laid out once, for each
/// block of keys.
template <class Number>
class HeadBackward {
 public:
  struct Tensors {
    const at::Tensor &query, &key, &value, &output, &logarithms, &gradient;
  };

  HeadBackward(const Sizes& sizes, const Tensors& tensors, const AttentionGradients& gradients)
      : sizes_(sizes),
        tensors_(tensors),
        gradients_(gradients),
        depth_(padded<Number>(sizes.width)),
        memory_(bytes()) {
    const int64_t queries = sizes.query_blocks() * kQueriesInBlock;
    queries_ = memory_.take<Number>(queries * depth_);
    queries_transposed_ = memory_.take<Number>(queries * sizes.width);
    gradient_ = memory_.take<Number>(queries * depth_);
    gradient_transposed_ = memory_.take<Number>(queries * sizes.width);
    of_queries_ = memory_.take<float>(queries * sizes.width);
    delta_ = memory_.take<float>(queries);
    keys_ = memory_.take<Number>(kKeysInBlock * sizes.width);
    keys_transposed_ = memory_.take<Number>(kKeysInBlock * depth_);
    values_transposed_ = memory_.take<Number>(kKeysInBlock * depth_);
    of_keys_ = memory_.take<float>(kKeysInBlock * sizes.width);
    of_values_ = memory_.take<float>(kKeysInBlock * sizes.width);
    products_ = memory_.take<float>(kProducts);
    of_weights_ = memory_.take<float>(kProducts);
    to_.weights = memory_.take<Number>(kProducts);
    to_.gradients_right = memory_.take<Number>(kProducts);
    to_.gradients_left = memory_.take<Number>(kProducts);
    if constexpr (Product<Number>::kDepth == 1) to_.gradients_right = to_.gradients_left;
  }

  void operator()(int64_t head) {
    lay_queries(head);
    for (int64_t block = 0; block < sizes_.key_blocks(); ++block) {
      const int64_t first = block * kKeysInBlock;
      const auto keys = rows_of<Number>(tensors_.key, head, first, kKeysInBlock);
      const auto values = rows_of<Number>(tensors_.value, head, first, kKeysInBlock);
      lay_right(keys, padded<Number>(keys.count), keys_);
      lay_right_transposed(keys, depth_, keys_transposed_);
      lay_right_transposed(values, depth_, values_transposed_);
      for (int64_t i = 0; i < sizes_.query_blocks(); ++i) {
        multiply(head, i * kQueriesInBlock, keys.count, block > 0);
      }
      store(gradients_.key, head, first, keys.count, of_keys_);
      store(gradients_.value, head, first, keys.count, of_values_);
    }
    store_rows(of_queries_,
               sizes_.queries,
               sizes_.width,
               gradients_.query.stride(2),
               place_of<Number>(gradients_.query, head, 0));
  }

 private:
  static constexpr int64_t kProducts = kQueriesInBlock * kKeysInBlock;

  int64_t bytes() const {
    const int64_t queries = sizes_.query_blocks() * kQueriesInBlock;
    const int64_t pieces = 16, alignment = 64;
    const int64_t numbers = (queries * 2 + kKeysInBlock * 2) * depth_ +
                            (queries * 2 + kKeysInBlock) * sizes_.width + 3 * kProducts;
    const int64_t floats = (queries + 2 * kKeysInBlock) * sizes_.width + queries + 2 * kProducts;
    return numbers * static_cast<int64_t>(sizeof(Number)) +
           floats * static_cast<int64_t>(sizeof(float)) + pieces * alignment;
  }

  /// A block of queries begins at its first query times the width in each of the layouts.
  void lay_queries(int64_t head) {
    for (int64_t first = 0; first < sizes_.queries; first += kQueriesInBlock) {
      const auto rows = rows_of<Number>(tensors_.query, head, first, kQueriesInBlock);
      const auto gradient = rows_of<Number>(tensors_.gradient, head, first, kQueriesInBlock);
      const auto output = rows_of<Number>(tensors_.output, head, first, kQueriesInBlock);
      const int64_t padded_count = padded<Number>(rows.count);
      lay_left(rows, depth_, queries_ + first * depth_);
      lay_left(gradient, depth_, gradient_ + first * depth_);
      lay_left_transposed(rows, padded_count, queries_transposed_ + first * sizes_.width);
      lay_left_transposed(gradient, padded_count, gradient_transposed_ + first * sizes_.width);
      dot_rows(gradient, output, delta_ + first);
    }
  }

  /// A block of queries, of which the first is `first`, with the block of keys that is laid out.
  void multiply(int64_t head, int64_t first, int64_t keys, bool later_keys) {
    const int64_t width = sizes_.width;
    const int64_t count = std::min(kQueriesInBlock, sizes_.queries - first);
    const auto scores = sizes_.scores<Number>(count, keys);
    const Product<Number> with_keys{count, keys, depth_};
    with_keys(queries_ + first * depth_, keys_transposed_, products_, false);
    with_keys(gradient_ + first * depth_, values_transposed_, of_weights_, false);
    softmax_gradients(
        scores,
        products_,
        of_weights_,
        tensors_.logarithms.template data_ptr<float>() + head * sizes_.queries + first,
        delta_ + first,
        to_);
    const Product<Number> over_queries{width, keys, scores.padded_queries};
    const bool later_queries = first > 0;
    over_queries(gradient_transposed_ + first * width, to_.weights, of_values_, later_queries);
    over_queries(queries_transposed_ + first * width, to_.gradients_right, of_keys_, later_queries);
    Product<Number>{count, width, scores.padded_keys}(
        to_.gradients_left, keys_, of_queries_ + first * width, later_keys);
  }

  /// `numbers` [width, count] to the rows from `first` on.
  void store(
      const at::Tensor& tensor, int64_t head, int64_t first, int64_t count, const float* numbers) {
    store_transposed(
        numbers, count, sizes_.width, tensor.stride(2), place_of<Number>(tensor, head, first));
  }

  Sizes sizes_;
  Tensors tensors_;
  const AttentionGradients& gradients_;
  int64_t depth_;
  Workspace memory_;
  Number *queries_, *queries_transposed_, *gradient_, *gradient_transposed_;
  Number *keys_, *keys_transposed_, *values_transposed_;
  float *of_queries_, *of_keys_, *of_values_, *products_, *of_weights_, *delta_;
  SoftmaxGradients<Number> to_;
};
}  // namespace

bool fused_attention_takes(const at::Tensor& query) {
#if defined(__x86_64__)
  if (!onednn_takes(query)) return false;
  if (query.scalar_type() == at::kFloat) return __builtin_cpu_supports("avx2") != 0;
  return small_products_use_amx();
#else
  return false;
#endif
}

at::Tensor fused_attention(const at::Tensor& query,
                           const at::Tensor& key,
                           const at::Tensor& value,
                           const at::Tensor& logarithms) {
  const Sizes sizes(query, key);
  at::Tensor output = empty_tokens(sizes, sizes.queries, query);
  with_number(query, [&](auto number) {
    compute_forward<decltype(number)>(
        readable(query), readable(key), readable(value), output, logarithms);
  });
  return output;
}

AttentionGradients fused_attention_backward(const at::Tensor& query,
                                            const at::Tensor& key,
                                            const at::Tensor& value,
                                            const at::Tensor& output,
                                            const at::Tensor& logarithms,
                                            const at::Tensor& gradient) {
  const Sizes sizes(query, key);
  const at::Tensor q = readable(query), k = readable(key), v = readable(value),
                   o = readable(output), g = readable(gradient);
  AttentionGradients result{empty_tokens(sizes, sizes.queries, query),
                            empty_tokens(sizes, sizes.keys, key),
                            empty_tokens(sizes, sizes.keys, value)};
  with_number(query, [&](auto number) {
    for_tasks<decltype(number)>(sizes.all_heads(), [&](int64_t begin, int64_t end) {
      HeadBackward<decltype(number)> backward(sizes, {q, k, v, o, logarithms, g}, result);
      for (int64_t head = begin; head < end; ++head) backward(head);
    });
  });
  return result;
}

}  // namespace limewash::models
