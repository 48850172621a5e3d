#pragma once
// Group normalisation, with or without SiLU behind it, of pictures whose channels lie together:
// what one thread does. Compiled for several instruction sets; the processor decides.

#include <cstdint>

#include "models/kernel_numbers.h"

namespace limewash::models {

/// A picture [pixels, channels] and the channels of it to work on: whole groups.
struct GroupNormSlice {
  int64_t pixels = 0;
  int64_t channels = 0;       ///< of the whole picture
  int64_t group_size = 1;     ///< channels of a group
  int64_t first_channel = 0;  ///< multiple of group_size
  int64_t end_channel = 0;
  bool silu = false;
  double eps = 1e-5;
};

/// `weight`, `bias` [channels]. Writes the slice's part of `output`, and of `mean` and
/// `reciprocal` [groups]: 1 / standard deviation.
void group_norm_forward(const GroupNormSlice& slice,
                        const float* input,
                        const float* weight,
                        const float* bias,
                        float* output,
                        float* mean,
                        float* reciprocal);
void group_norm_forward(const GroupNormSlice& slice,
                        const Bfloat16Bits* input,
                        const float* weight,
                        const float* bias,
                        Bfloat16Bits* output,
                        float* mean,
                        float* reciprocal);

/// The slice's part of `input_gradient` from the gradient of the output.
void group_norm_backward(const GroupNormSlice& slice,
                         const float* input,
                         const float* gradient,
                         const float* weight,
                         const float* bias,
                         const float* mean,
                         const float* reciprocal,
                         float* input_gradient);
void group_norm_backward(const GroupNormSlice& slice,
                         const Bfloat16Bits* input,
                         const Bfloat16Bits* gradient,
                         const float* weight,
                         const float* bias,
                         const float* mean,
                         const float* reciprocal,
                         Bfloat16Bits* input_gradient);

}  // namespace limewash::models
