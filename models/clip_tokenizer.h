#pragma once
// CLIP's tokenizer (Radford et al., 2021), equal to transformers' CLIPTokenizer for every text of
// characters that Unicode 15.0 has; later characters depend on the version of ICU.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "models/added_tokens.h"
#include "models/byte_pair_encoding.h"
#include "models/clip_tokenizer_files.h"

namespace limewash::models {

class ClipTokenizer {
 public:
  /// Read a tokenizer folder. All ids are below `vocab_size`, a prompt takes `max_length` tokens or
  /// tokenizer_config.json's model_max_length when that is less. Throws InputError naming file and
  /// place for anything damaged or missing.
  static ClipTokenizer from_folder(const std::filesystem::path& folder,
                                   int64_t vocab_size,
                                   int64_t max_length);
  /// The same from bytes in memory: whatever they are, an InputError or a tokenizer.
  ClipTokenizer(const ClipTokenizerFiles& files, int64_t vocab_size, int64_t max_length);

  /// The ids of a text, without start and end token. Throws InputError for text that is not UTF-8
  /// or is larger than 16 MiB.
  std::vector<int64_t> encode(std::string_view text) const;

  /// [N, L] int64 for N prompts: start token, ids, end token, padding; what is too long loses its
  /// tail.
  at::Tensor encode_batch(const std::vector<std::string>& prompts) const;

  /// L: the tokens that a prompt takes, start and end token included.
  int64_t max_length() const;

 private:
  void append_words(std::string_view raw, std::vector<int64_t>& ids) const;

  ClipTokenizerDefinition definition_;
  int64_t max_length_;
  std::string name_;  ///< for messages
  BytePairEncoding encoding_;
  AddedTokenFinder raw_tokens_, normalized_tokens_;
};

}  // namespace limewash::models
