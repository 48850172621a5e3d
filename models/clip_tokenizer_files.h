#pragma once
// The files of a CLIP tokenizer's folder, in transformers' old layout (vocab.json, merges.txt) or
// its new one (tokenizer.json, which counts where both are there), with special_tokens_map.json,
// tokenizer_config.json and added_tokens.json.

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "models/added_tokens.h"
#include "models/byte_pair_encoding.h"

namespace limewash::models {

/// The bytes of a tokenizer's files by name; a name that is missing stands for a missing file.
struct ClipTokenizerFiles {
  std::filesystem::path folder;  ///< for messages
  std::map<std::string, std::string> bytes;

  /// Throws InputError for a file that can't be read or is larger than 16 MiB.
  static ClipTokenizerFiles read(const std::filesystem::path& folder);
};

/// What the files say, checked.
struct ClipTokenizerDefinition {
  Vocabulary vocabulary;
  std::vector<BytePairEncoding::Merge> merges;
  int32_t unknown = -1;  ///< -1: the vocabulary has no such token
  int32_t start = 0, end = 0, padding = 0;
  std::vector<AddedToken> added_tokens;
  int64_t model_max_length = std::numeric_limits<int64_t>::max();
};

/// All ids are from 0 to `vocab_size` - 1. Anything damaged, missing or not as CLIP's tokenizer has
/// it is an InputError naming file and place.
ClipTokenizerDefinition read_clip_tokenizer(const ClipTokenizerFiles& files, int64_t vocab_size);

}  // namespace limewash::models
