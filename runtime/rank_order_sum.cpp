#include "runtime/rank_order_sum.h"

#include <cstddef>

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

namespace limewash {

namespace {

template <class T>
void sum(std::span<const T* const> parts, T* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    double total = 0;
    for (const T* part : parts) total += static_cast<double>(part[i]);
    out[i] = static_cast<T>(total);
  }
}

}  // namespace

void sum_in_rank_order(std::span<const float* const> parts, float* out, int64_t count) {
  sum(parts, out, count);
}

void sum_in_rank_order(std::span<const double* const> parts, double* out, int64_t count) {
  sum(parts, out, count);
}

void check_reducible(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.defined() && tensor.is_contiguous(),
              "all_reduce_sum: expected a defined contiguous tensor");
  TORCH_CHECK(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble,
              "all_reduce_sum: expected float32 or float64, got ",
              tensor.scalar_type());
}

void check_root(int root, int size) {
  TORCH_CHECK(root >= 0 && root < size, "broadcast: root ", root, " of ", size, " ranks");
}

}  // namespace limewash
