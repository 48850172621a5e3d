#pragma once
// Loops on several threads. Only for the files that limewash_parallel_sources names.

#ifndef _OPENMP
#error "name this file in limewash_parallel_sources: without OpenMP its loops have one thread"
#endif

#include <cstdint>

#include <ATen/Parallel.h>

namespace limewash::models {

/// Call `body(first, end)` for parts of [begin, end) that have at least `grain` elements, on
/// LibTorch's threads; inside of such a loop, on this thread alone. The threads have no autograd
/// state: work that must not be differentiated says so inside of the body.
template <class Body>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Body& body) {
  at::parallel_for(begin, end, grain, body);
}

}  // namespace limewash::models
