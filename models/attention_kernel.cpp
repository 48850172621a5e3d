#include "models/attention_kernel.h"

#include "models/instruction_set.h"

namespace limewash::models {

#define LIMEWASH_KERNEL_BODY "models/attention_kernel.inc"
#include "models/kernel_variants.inc"

template <class Number>
void lay_left(const TensorRows<Number>& rows, int64_t depth, Number* to) {
  LIMEWASH_RETURN_BEST(lay_left(rows, depth, to));
}

template <class Number>
void lay_left_transposed(const TensorRows<Number>& rows, int64_t depth, Number* to) {
  LIMEWASH_RETURN_BEST(lay_left_transposed(rows, depth, to));
}

template <class Number>
void lay_right(const TensorRows<Number>& rows, int64_t depth, Number* to) {
  LIMEWASH_RETURN_BEST(lay_right(rows, depth, to));
}

template <class Number>
void lay_right_transposed(const TensorRows<Number>& rows, int64_t depth, Number* to) {
  LIMEWASH_RETURN_BEST(lay_right_transposed(rows, depth, to));
}

template <class Number>
void continue_softmax(const Scores& scores,
                      const float* products,
                      const RunningSoftmax& running,
                      Number* weights) {
  LIMEWASH_RETURN_BEST(continue_softmax(scores, products, running, weights));
}

template <class Number>
void finish_softmax(const RunningSoftmax& running,
                    const Scores& scores,
                    int64_t stride,
                    Number* to,
                    float* logarithms) {
  LIMEWASH_RETURN_BEST(finish_softmax(running, scores, stride, to, logarithms));
}

template <class Number>
void softmax_gradients(const Scores& scores,
                       const float* products,
                       const float* gradients,
                       const float* logarithms,
                       const float* delta,
                       const SoftmaxGradients<Number>& to) {
  LIMEWASH_RETURN_BEST(softmax_gradients(scores, products, gradients, logarithms, delta, to));
}

template <class Number>
void dot_rows(const TensorRows<Number>& left, const TensorRows<Number>& right, float* to) {
  LIMEWASH_RETURN_BEST(dot_rows(left, right, to));
}

template <class Number>
void store_rows(const float* numbers, int64_t count, int64_t width, int64_t stride, Number* to) {
  LIMEWASH_RETURN_BEST(store_rows(numbers, count, width, stride, to));
}

template <class Number>
void store_transposed(
    const float* numbers, int64_t count, int64_t width, int64_t stride, Number* to) {
  LIMEWASH_RETURN_BEST(store_transposed(numbers, count, width, stride, to));
}

// The two kinds of numbers.
template void lay_left(const TensorRows<float>&, int64_t, float*);
template void lay_left_transposed(const TensorRows<float>&, int64_t, float*);
template void lay_right(const TensorRows<float>&, int64_t, float*);
template void lay_right_transposed(const TensorRows<float>&, int64_t, float*);
template void continue_softmax(const Scores&, const float*, const RunningSoftmax&, float*);
template void finish_softmax(const RunningSoftmax&, const Scores&, int64_t, float*, float*);
template void softmax_gradients(const Scores&,
                                const float*,
                                const float*,
                                const float*,
                                const float*,
                                const SoftmaxGradients<float>&);
template void dot_rows(const TensorRows<float>&, const TensorRows<float>&, float*);
template void store_rows(const float*, int64_t, int64_t, int64_t, float*);
template void store_transposed(const float*, int64_t, int64_t, int64_t, float*);

template void lay_left(const TensorRows<Bfloat16Bits>&, int64_t, Bfloat16Bits*);
template void lay_left_transposed(const TensorRows<Bfloat16Bits>&, int64_t, Bfloat16Bits*);
template void lay_right(const TensorRows<Bfloat16Bits>&, int64_t, Bfloat16Bits*);
template void lay_right_transposed(const TensorRows<Bfloat16Bits>&, int64_t, Bfloat16Bits*);
template void continue_softmax(const Scores&, const float*, const RunningSoftmax&, Bfloat16Bits*);
template void finish_softmax(const RunningSoftmax&, const Scores&, int64_t, Bfloat16Bits*, float*);
template void softmax_gradients(const Scores&,
                                const float*,
                                const float*,
                                const float*,
                                const float*,
                                const SoftmaxGradients<Bfloat16Bits>&);
template void dot_rows(const TensorRows<Bfloat16Bits>&, const TensorRows<Bfloat16Bits>&, float*);
template void store_rows(const float*, int64_t, int64_t, int64_t, Bfloat16Bits*);
template void store_transposed(const float*, int64_t, int64_t, int64_t, Bfloat16Bits*);

}  // namespace limewash::models
