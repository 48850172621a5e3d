#include "models/instruction_set.h"

namespace limewash::models {

InstructionSet best_instruction_set() {
#if defined(LIMEWASH_HAS_X86_KERNELS)
  static const InstructionSet best = [] {
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl")) {
      return InstructionSet::kAvx512;
    }
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
               ? InstructionSet::kAvx2
               : InstructionSet::kEverywhere;
  }();
  return best;
#else
  return InstructionSet::kEverywhere;
#endif
}

}  // namespace limewash::models
