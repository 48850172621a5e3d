#pragma once
// Reductions over ranks for every type that c10d may bring.

#include <cstdint>
#include <string>

#include "runtime/mpi_collectives.h"

namespace c10 {
enum class ScalarType : int8_t;
}

namespace limewash {

enum class Reduction { kSum, kAverage, kMinimum, kMaximum };

/// Reduces element by element, in the order of the parts. Half, float and double are added in
/// double and rounded once; integers wrap around; a sum of bools is whether any is true; a NaN
/// stays one. Throws c10::Error that names `operation` and the type where there is no such
/// reduction.
ReduceParts rank_order_reduction(Reduction reduction,
                                 c10::ScalarType type,
                                 const std::string& operation);

}  // namespace limewash
