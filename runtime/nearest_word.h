#pragma once
// "Did you mean ...?"

#include <optional>
#include <string>
#include <vector>

namespace limewash {

/// The word of `known` with the fewest edits from `word` (exchanging two neighbours is one edit);
/// none when that takes more than two edits and more than a third of the word.
std::optional<std::string> nearest_word(const std::string& word,
                                        const std::vector<std::string>& known);

}  // namespace limewash
