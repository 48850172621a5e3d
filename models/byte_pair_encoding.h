#pragma once
// Byte pair encoding (Sennrich, Haddow, Birch, "Neural Machine Translation of Rare Words with
// Subword Units", 2016) over bytes, with "</w>" at the end of a word: CLIP's kind, equal to
// tokenizers' BPE model.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace limewash::models {

/// Look-up by std::string_view.
struct TokenHash {
  using is_transparent = void;
  size_t operator()(std::string_view token) const {
    return std::hash<std::string_view>{}(token);
  }
};

/// Tokens and their ids. A token spells each byte as one printable character (byte_symbol).
using Vocabulary = std::unordered_map<std::string, int32_t, TokenHash, std::equal_to<>>;

/// How tokens spell a byte, in UTF-8: GPT-2's alphabet.
std::string byte_symbol(uint8_t byte);

class BytePairEncoding {
 public:
  /// Ids of two neighbours and of what they become.
  struct Merge {
    int32_t left, right, merged;
  };

  /// `merges` are in order of rank; the last of equal pairs counts. `unknown` is the id of what
  /// the vocabulary has no token for, negative when there is none.
  BytePairEncoding(const Vocabulary& vocabulary, const std::vector<Merge>& merges, int32_t unknown);

  /// Append the ids of one word, given as plain bytes. Time is O(n log n). Throws InputError when
  /// the vocabulary lacks a byte and there is no unknown token.
  void append_word(std::string_view word, std::vector<int64_t>& ids) const;

 private:
  struct Ranked {
    int32_t rank, merged;
  };
  const Ranked* find_merge(int32_t left, int32_t right) const;

  std::array<int32_t, 256> inner_{}, last_{};  ///< ids of bytes, within and at the end of a word
  std::unordered_map<uint64_t, Ranked> merges_;
};

}  // namespace limewash::models
