#pragma once
// How CLIP's tokenizer sees text before byte pair encoding: normalised, then cut into words.
// transformers' CLIPTokenizer does this with tokenizers' NFC, Replace, Lowercase, Split and
// ByteLevel; all text is UTF-8.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace limewash::models {

/// Where `text` stops being UTF-8: the first byte of what is no character; none when all is well.
std::optional<size_t> find_broken_utf8(std::string_view text);

/// Unicode's composed form (NFC), each run of white space as one space, lower case. `text` is valid
/// UTF-8. Marks that came after Unicode 9.0 are neither reordered nor composed, as in tokenizers.
/// Time is O(n log n) for n bytes.
std::string normalize_clip_text(std::string_view text);

/// The words of a normalised text, in order: runs of letters, single digits, runs of what is
/// neither letter, digit nor white space, and 's 't 're 've 'm 'll 'd. White space is dropped. The
/// words point into `normalized`.
std::vector<std::string_view> split_clip_text(std::string_view normalized);

/// Whether a text begins or ends with white space.
bool has_outer_white_space(std::string_view text);

}  // namespace limewash::models
