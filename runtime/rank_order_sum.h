#pragma once
// What the communicators share: the order of a sum over ranks, and the checks of their arguments.

#include <cstdint>
#include <span>

namespace at {
class Tensor;
}

namespace limewash {

/// out[i] = parts[0][i] + parts[1][i] + …, added in double by rank and rounded once. `out` may be
/// one of the parts.
void sum_in_rank_order(std::span<const float* const> parts, float* out, int64_t count);
void sum_in_rank_order(std::span<const double* const> parts, double* out, int64_t count);

/// Throws c10::Error unless `tensor` is contiguous and float32 or float64.
void check_reducible(const at::Tensor& tensor);

/// Throws c10::Error unless `root` is one of `size` ranks.
void check_root(int root, int size);

}  // namespace limewash
