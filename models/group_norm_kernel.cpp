#include "models/group_norm_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace limewash::models {

namespace everywhere {
#include "models/group_norm_kernel.inc"
}  // namespace everywhere

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LIMEWASH_HAS_AVX512_KERNEL 1
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

enum class Instructions { kEverywhere, kAvx2, kAvx512 };

Instructions instructions() {
#if defined(LIMEWASH_HAS_AVX512_KERNEL)
  static const Instructions best = [] {
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
      return Instructions::kAvx512;
    }
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
               ? Instructions::kAvx2
               : Instructions::kEverywhere;
  }();
  return best;
#else
  return Instructions::kEverywhere;
#endif
}

template <class Number>
void dispatch_forward(const GroupNormSlice& slice,
                      const Number* input,
                      const float* weight,
                      const float* bias,
                      Number* output,
                      float* mean,
                      float* reciprocal) {
  switch (instructions()) {
#if defined(LIMEWASH_HAS_AVX512_KERNEL)
    case Instructions::kAvx512:
      return avx512::forward(slice, input, weight, bias, output, mean, reciprocal);
    case Instructions::kAvx2:
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
  switch (instructions()) {
#if defined(LIMEWASH_HAS_AVX512_KERNEL)
    case Instructions::kAvx512:
      return avx512::backward(
          slice, input, gradient, weight, bias, mean, reciprocal, input_gradient);
    case Instructions::kAvx2:
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
