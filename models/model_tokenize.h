#pragma once
// `limewash model tokenize`: the ids of texts.

#include <filesystem>
#include <iosfwd>

namespace limewash::models {

struct TokenizeOptions {
  bool json = false;    ///< each line is a JSON string, so that a text may hold line ends
  bool padded = false;  ///< start token, end token and padding, as the text encoder takes them
};

/// Read texts from `input`, one a line, and write the ids of each to `output` as a JSON list, one a
/// line. `model` is a diffusers folder or the folder of a tokenizer. Throws InputError naming the
/// file, or the line that is not UTF-8 or, with `json`, no JSON string.
void tokenize_lines(const std::filesystem::path& model,
                    const TokenizeOptions& options,
                    std::istream& input,
                    std::ostream& output);

}  // namespace limewash::models
