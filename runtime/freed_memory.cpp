#include "runtime/freed_memory.h"

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace limewash {

void keep_freed_memory() {
#if defined(__GLIBC__)
  constexpr int kGrowBy = 64 << 20;  // bytes
  constexpr int kLargest = 1 << 30, kLargestOfOldVersions = 32 << 20;
  if (::mallopt(M_MMAP_THRESHOLD, kLargest) == 0)
    ::mallopt(M_MMAP_THRESHOLD, kLargestOfOldVersions);
  ::mallopt(M_TRIM_THRESHOLD, -1);  // never
  ::mallopt(M_TOP_PAD, kGrowBy);
#endif
}

}  // namespace limewash
