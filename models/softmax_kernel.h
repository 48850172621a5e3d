#pragma once
// The softmax inside of attention, forward and backward, over a block of queries and all keys,
// between large products in bfloat16 (models/blocked_attention.h): what one thread does. Compiled
// for several instruction sets; the processor decides.

#include <cstdint>

#include "models/kernel_numbers.h"

namespace limewash::models {

/// Scores [rows, keys] of some queries, row after row; `scale` belongs to the scores.
struct ScoreBlock {
  int64_t rows = 0;
  int64_t keys = 0;
  float scale = 1;
};

/// Scores become exp(scale (score - the row's largest)), which lies in (0, 1]. `sums` [rows]: each
/// row's sum of those; `logarithms` [rows]: the logarithm of the sum of exp(scale score).
void exponentials(const ScoreBlock& block, Bfloat16Bits* scores, float* sums, float* logarithms);

/// Scores become the softmax P = exp(scale score - logarithm), and `gradients`, those at P, become
/// the gradients at the scores: scale P (gradient - delta). `delta` [rows]: a row's sum of the
/// output times the output's gradient.
void softmax_backward(const ScoreBlock& block,
                      Bfloat16Bits* scores,
                      Bfloat16Bits* gradients,
                      const float* logarithms,
                      const float* delta);

}  // namespace limewash::models
