#pragma once
// What fused attention (models/fused_attention.h) does between its products: it lays numbers out as
// the products read them, and computes the softmax, forward and backward, of a block of queries and
// keys. What one thread does; compiled for several instruction sets; the processor decides.
//
// A product's left side [M, K] lies row after row. Its right side [K, N] does so in float32; in
// bfloat16 two rows lie as one, the numbers of a column side by side: [K / 2, N, 2].

#include <cstdint>

#include "models/kernel_numbers.h"

namespace limewash::models {

/// Rows [count, width] of a tensor, `stride` numbers apart.
template <class Number>
struct TensorRows {
  const Number* first = nullptr;
  int64_t stride = 0;
  int64_t count = 0;
  int64_t width = 0;
};

// Number is float or Bfloat16Bits everywhere.

/// `rows` as a left side [count, depth]: zeros behind the width.
template <class Number>
void lay_left(const TensorRows<Number>& rows, int64_t depth, Number* to);
/// Their transpose as a left side [width, depth]: zeros behind the count.
template <class Number>
void lay_left_transposed(const TensorRows<Number>& rows, int64_t depth, Number* to);
/// `rows` as a right side of `depth` rows, zeros behind the count. `depth` is even in bfloat16.
template <class Number>
void lay_right(const TensorRows<Number>& rows, int64_t depth, Number* to);
/// Their transpose as a right side of `depth` rows, zeros behind the width.
template <class Number>
void lay_right_transposed(const TensorRows<Number>& rows, int64_t depth, Number* to);

/// Products of some queries with some keys, row after row, [queries, keys]; `scale` makes them
/// scores. What is padded is rounded up to what a product's K has to be a multiple of.
struct Scores {
  int64_t queries = 0;
  int64_t keys = 0;
  int64_t padded_queries = 0;
  int64_t padded_keys = 0;
  float scale = 1;
};

/// What is known of some queries from the keys so far: the largest product (at first minus
/// infinity), the sum of exp(score - largest score), and the values [queries, width] weighted by
/// those.
struct RunningSoftmax {
  float* largest = nullptr;
  float* sums = nullptr;
  float* output = nullptr;
  int64_t width = 0;
};

/// `weights`, a left side [queries, padded_keys]: exp(score - the largest so far), in (0, 1].
/// What is known so far is brought to the new largest scores. In float32 `weights` may be
/// `products`.
template <class Number>
void continue_softmax(const Scores& scores,
                      const float* products,
                      const RunningSoftmax& running,
                      Number* weights);

/// The end of it: output / sum to rows of a tensor that are `stride` apart, and the logarithm of
/// each query's sum of exp(score). Where all scores are minus infinity the output is no number.
template <class Number>
void finish_softmax(const RunningSoftmax& running,
                    const Scores& scores,
                    int64_t stride,
                    Number* to,
                    float* logarithms);

/// Where the way back puts its numbers: the softmax as a right side of padded_queries rows, and the
/// gradients at the products as such a one and as a left side [queries, padded_keys]. In float32
/// the two are the same and `gradients_right` is not written.
template <class Number>
struct SoftmaxGradients {
  Number* weights = nullptr;
  Number* gradients_right = nullptr;
  Number* gradients_left = nullptr;
};

/// `gradients` [queries, keys]: those at the softmax. `logarithms` [queries] of the way forward and
/// `delta` [queries], the sum of the output times the output's gradient. In float32 the results may
/// take the places of `products` and `gradients`.
template <class Number>
void softmax_gradients(const Scores& scores,
                       const float* products,
                       const float* gradients,
                       const float* logarithms,
                       const float* delta,
                       const SoftmaxGradients<Number>& to);

/// For each row the sum of `left` times `right`.
template <class Number>
void dot_rows(const TensorRows<Number>& left, const TensorRows<Number>& right, float* to);

/// `numbers` [count, width] to rows of a tensor that are `stride` apart.
template <class Number>
void store_rows(const float* numbers, int64_t count, int64_t width, int64_t stride, Number* to);
/// `numbers` [width, count], to such rows.
template <class Number>
void store_transposed(
    const float* numbers, int64_t count, int64_t width, int64_t stride, Number* to);

}  // namespace limewash::models
