#pragma once
// Which of the instruction sets that the project's own kernels are compiled for this processor has.

namespace limewash::models {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LIMEWASH_HAS_X86_KERNELS 1
#endif

enum class InstructionSet { kEverywhere, kAvx2, kAvx512 };

/// The best one, found once.
InstructionSet best_instruction_set();

/// `return CALL;` in the namespace of that one's kernels (models/kernel_variants.inc).
#if defined(LIMEWASH_HAS_X86_KERNELS)
#define LIMEWASH_RETURN_BEST(...)     \
  switch (best_instruction_set()) {   \
    case InstructionSet::kAvx512:     \
      return avx512::__VA_ARGS__;     \
    case InstructionSet::kAvx2:       \
      return avx2::__VA_ARGS__;       \
    case InstructionSet::kEverywhere: \
      break;                          \
  }                                   \
  return everywhere::__VA_ARGS__
#else
#define LIMEWASH_RETURN_BEST(...) return everywhere::__VA_ARGS__
#endif

}  // namespace limewash::models
