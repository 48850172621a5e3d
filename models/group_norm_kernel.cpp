#include "models/group_norm_kernel.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "models/instruction_set.h"

namespace limewash::models {

#define LIMEWASH_KERNEL_BODY "models/group_norm_kernel.inc"
#include "models/kernel_variants.inc"

void group_norm_forward(const GroupNormSlice& slice,
                        const float* input,
                        const float* weight,
                        const float* bias,
                        float* output,
                        float* mean,
                        float* reciprocal) {
  LIMEWASH_RETURN_BEST(forward(slice, input, weight, bias, output, mean, reciprocal));
}

void group_norm_forward(const GroupNormSlice& slice,
                        const Bfloat16Bits* input,
                        const float* weight,
                        const float* bias,
                        Bfloat16Bits* output,
                        float* mean,
                        float* reciprocal) {
  LIMEWASH_RETURN_BEST(forward(slice, input, weight, bias, output, mean, reciprocal));
}

void group_norm_backward(const GroupNormSlice& slice,
                         const float* input,
                         const float* gradient,
                         const float* weight,
                         const float* bias,
                         const float* mean,
                         const float* reciprocal,
                         float* input_gradient) {
  LIMEWASH_RETURN_BEST(
      backward(slice, input, gradient, weight, bias, mean, reciprocal, input_gradient));
}

void group_norm_backward(const GroupNormSlice& slice,
                         const Bfloat16Bits* input,
                         const Bfloat16Bits* gradient,
                         const float* weight,
                         const float* bias,
                         const float* mean,
                         const float* reciprocal,
                         Bfloat16Bits* input_gradient) {
  LIMEWASH_RETURN_BEST(
      backward(slice, input, gradient, weight, bias, mean, reciprocal, input_gradient));
}

}  // namespace limewash::models
