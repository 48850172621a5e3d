#pragma once
// The parsers of files that come from elsewhere, as the fuzzer sees them.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace limewash::fuzz {

struct Parser {
  std::string name;
  /// Good inputs, out of the repository.
  std::vector<std::string> corpus;
  /// Pieces that mean something in the format.
  std::vector<std::string> words;
  /// Parses the bytes. InputError is a refusal; any other exception is a fault.
  std::function<void(const std::string&)> parse;
};

/// safetensors-header, safetensors, config, tokenizer, pickle, torch-archive, picture_parsers and
/// dataset_parsers.
/// `source`: the repository; `work`: a folder for the parsers that read files by path.
std::vector<Parser> all_parsers(const std::filesystem::path& source,
                                const std::filesystem::path& work);

}  // namespace limewash::fuzz
