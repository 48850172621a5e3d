#include "models/softmax_kernel.h"

#include "models/instruction_set.h"

namespace limewash::models {

#define LIMEWASH_KERNEL_BODY "models/softmax_kernel.inc"
#include "models/kernel_variants.inc"

void exponentials(const ScoreBlock& block, Bfloat16Bits* scores, float* sums, float* logarithms) {
  LIMEWASH_RETURN_BEST(exponentials(block, scores, sums, logarithms));
}

void softmax_backward(const ScoreBlock& block,
                      Bfloat16Bits* scores,
                      Bfloat16Bits* gradients,
                      const float* logarithms,
                      const float* delta) {
  LIMEWASH_RETURN_BEST(softmax_backward(block, scores, gradients, logarithms, delta));
}

}  // namespace limewash::models
