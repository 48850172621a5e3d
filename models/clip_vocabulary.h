#pragma once
// The vocabulary and the merges of a CLIP tokenizer, out of vocab.json and merges.txt or out of
// tokenizer.json.

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "models/byte_pair_encoding.h"

namespace limewash::models {

/// `tokens` is the object of tokens and ids, `where` its place for messages. Throws InputError for
/// anything but integers from 0 to `vocab_size` - 1, each once.
Vocabulary read_vocabulary(const nlohmann::json& tokens,
                           const std::string& where,
                           int64_t vocab_size);

/// merges.txt: "left right" a line, by rank; lines that begin with "#version" are skipped. Both
/// parts and what they make must be in the vocabulary.
std::vector<BytePairEncoding::Merge> read_merges_text(std::string_view text,
                                                      const std::filesystem::path& path,
                                                      const Vocabulary& vocabulary);

/// The "model" of a tokenizer.json: its "vocab" and "merges". Options that would make other tokens
/// than CLIP's are refused.
Vocabulary read_model_vocabulary(const nlohmann::json& file,
                                 const std::filesystem::path& path,
                                 int64_t vocab_size);
std::vector<BytePairEncoding::Merge> read_model_merges(const nlohmann::json& file,
                                                       const std::filesystem::path& path,
                                                       const Vocabulary& vocabulary);

}  // namespace limewash::models
