#pragma once
// Which of the instruction sets that the project's own kernels are compiled for this processor has.

namespace limewash::models {

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define LIMEWASH_HAS_X86_KERNELS 1
#endif

enum class InstructionSet { kEverywhere, kAvx2, kAvx512 };

/// The best one, found once.
InstructionSet best_instruction_set();

}  // namespace limewash::models
