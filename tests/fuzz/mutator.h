#pragma once
// Damaged copies of good files: a pure function of (seed, number).

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace limewash::fuzz {

/// Draws from a corpus of good inputs and damages them: bytes flipped, ranges cut, copied, moved
/// and mixed with other inputs, numbers replaced by those that programs trip over, and words of the
/// format put where they do not belong.
class Mutator {
 public:
  /// `words`: pieces of text or bytes that mean something in the format.
  Mutator(std::vector<std::string> corpus, std::vector<std::string> words);
  /// Input number `number` of `seed`.
  std::string make(uint64_t seed, uint64_t number) const;

 private:
  void damage(std::string& bytes, std::mt19937_64& random) const;

  std::vector<std::string> corpus_, words_;
};

}  // namespace limewash::fuzz
