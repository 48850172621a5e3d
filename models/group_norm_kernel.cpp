#include "models/group_norm_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "models/instruction_set.h"

namespace limewash::models {

namespace everywhere {
#include "models/group_norm_kernel.inc"
}  // namespace everywhere

#if defined(LIMEWASH_HAS_X86_KERNELS)
namespace avx512 {
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#include "models/group_norm_kernel.inc"
#pragma GCC pop_options
}  // namespace avx512
namespace avx2 {
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#include "models/group_norm_kernel.inc"
#pragma GCC pop_options
}  // namespace avx2
#endif

namespace {

template <class Number>
void dispatch_forward(const GroupNormSlice& slice,
                      const Number* input,
                      const float* weight,
                      const float* bias,
                      Number* output,
                      float* mean,
                      float* reciprocal) {
  switch (best_instruction_set()) {
#if defined(LIMEWASH_HAS_X86_KERNELS)
    case InstructionSet::kAvx512:
      return avx512::forward(slice, input, weight, bias, output, mean, reciprocal);
    case InstructionSet::kAvx2:
      return avx2::forward(slice, input, weight, bias, output, mean, reciprocal);
#endif
    default:
      return everywhere::forward(slice, input, weight, bias, output, mean, reciprocal);
  }
}

template <class Number>
void dispatch_backward(const GroupNormSlice& slice,
                       const Number* input,
                       const Number* gradient,
                       const float* weight,
                       const float* bias,
                       const float* mean,
                       const float* reciprocal,
                       Number* input_gradient) {
  switch (best_instruction_set()) {
#if defined(LIMEWASH_HAS_X86_KERNELS)
    case InstructionSet::kAvx512:
      return avx512::backward(
          slice, input, gradient, weight, bias, mean, reciprocal, input_gradient);
    case InstructionSet::kAvx2:
      return avx2::backward(slice, input, gradient, weight, bias, mean, reciprocal, input_gradient);
#endif
    default:
      return everywhere::backward(
          slice, input, gradient, weight, bias, mean, reciprocal, input_gradient);
  }
}

}  // namespace

void group_norm_forward(const GroupNormSlice& slice,
                        const float* input,
                        const float* weight,
                        const float* bias,
                        float* output,
                        float* mean,
                        float* reciprocal) {
  dispatch_forward(slice, input, weight, bias, output, mean, reciprocal);
}

void group_norm_forward(const GroupNormSlice& slice,
                        const Bfloat16Bits* input,
                        const float* weight,
                        const float* bias,
                        Bfloat16Bits* output,
                        float* mean,
                        float* reciprocal) {
  dispatch_forward(slice, input, weight, bias, output, mean, reciprocal);
}

void group_norm_backward(const GroupNormSlice& slice,
                         const float* input,
                         const float* gradient,
                         const float* weight,
                         const float* bias,
                         const float* mean,
                         const float* reciprocal,
                         float* input_gradient) {
  dispatch_backward(slice, input, gradient, weight, bias, mean, reciprocal, input_gradient);
}

void group_norm_backward(const GroupNormSlice& slice,
                         const Bfloat16Bits* input,
                         const Bfloat16Bits* gradient,
                         const float* weight,
                         const float* bias,
                         const float* mean,
                         const float* reciprocal,
                         Bfloat16Bits* input_gradient) {
  dispatch_backward(slice, input, gradient, weight, bias, mean, reciprocal, input_gradient);
}

}  // namespace limewash::models
