#pragma once
// Tokens that are found in the text as they stand, before it is cut into words: start and end
// tokens and the like. As tokenizers' AddedVocabulary does it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limewash::models {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool normalized = false;  ///< found in the normalised text, not in the given one
};

/// Finds tokens in a text: the leftmost, of several there the longest.
class AddedTokenFinder {
 public:
  struct Match {
    size_t begin, end;
    int32_t id;
  };

  /// `token` is not empty. False when it is there already.
  bool add(std::string_view token, int32_t id);
  /// The first match that begins at `from` or later.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  struct Node {
    std::vector<std::pair<char, int32_t>> children;
    int32_t id = -1;
  };
  int32_t child(int32_t node, char byte) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);  ///< a trie; the first node is its root
};

}  // namespace limewash::models
