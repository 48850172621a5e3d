#include "models/softmax_kernel.h"

#include "models/instruction_set.h"

namespace limewash::models {

namespace everywhere {
#include "models/softmax_kernel.inc"
}  // namespace everywhere

#if defined(LIMEWASH_HAS_X86_KERNELS)
namespace avx512 {
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#include "models/softmax_kernel.inc"
#pragma GCC pop_options
}  // namespace avx512
namespace avx2 {
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#include "models/softmax_kernel.inc"
#pragma GCC pop_options
}  // namespace avx2
#endif

namespace {

template <class Number>
void dispatch_forward(const ScoreBlock& block, Number* scores, float* sums, float* logarithms) {
  switch (best_instruction_set()) {
#if defined(LIMEWASH_HAS_X86_KERNELS)
    case InstructionSet::kAvx512:
      return avx512::exponentials(block, scores, sums, logarithms);
    case InstructionSet::kAvx2:
      return avx2::exponentials(block, scores, sums, logarithms);
#endif
    default:
      return everywhere::exponentials(block, scores, sums, logarithms);
  }
}

template <class Number>
void dispatch_backward(const ScoreBlock& block,
                       Number* scores,
                       Number* gradients,
                       const float* logarithms,
                       const float* delta) {
  switch (best_instruction_set()) {
#if defined(LIMEWASH_HAS_X86_KERNELS)
    case InstructionSet::kAvx512:
      return avx512::softmax_backward(block, scores, gradients, logarithms, delta);
    case InstructionSet::kAvx2:
      return avx2::softmax_backward(block, scores, gradients, logarithms, delta);
#endif
    default:
      return everywhere::softmax_backward(block, scores, gradients, logarithms, delta);
  }
}

}  // namespace

void exponentials(const ScoreBlock& block, float* scores, float* sums, float* logarithms) {
  dispatch_forward(block, scores, sums, logarithms);
}

void exponentials(const ScoreBlock& block, Bfloat16Bits* scores, float* sums, float* logarithms) {
  dispatch_forward(block, scores, sums, logarithms);
}

void softmax_backward(const ScoreBlock& block,
                      float* scores,
                      float* gradients,
                      const float* logarithms,
                      const float* delta) {
  dispatch_backward(block, scores, gradients, logarithms, delta);
}

void softmax_backward(const ScoreBlock& block,
                      Bfloat16Bits* scores,
                      Bfloat16Bits* gradients,
                      const float* logarithms,
                      const float* delta) {
  dispatch_backward(block, scores, gradients, logarithms, delta);
}

}  // namespace limewash::models
