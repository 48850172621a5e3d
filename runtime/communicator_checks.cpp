#include "runtime/communicator_checks.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

namespace limewash {

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
