#pragma once
// The special and added tokens of a CLIP tokenizer, as transformers' from_pretrained gathers them
// from tokenizer_config.json, special_tokens_map.json, added_tokens.json and tokenizer.json.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "models/clip_tokenizer_files.h"

namespace limewash::models {

/// A token as a file writes it: plain text, or an object with options.
struct WrittenToken {
  std::string content;
  bool plain_text = true;
  bool in_config = false;  ///< written in tokenizer_config.json
  bool special = true;
  bool lstrip = false, rstrip = false;
  std::optional<bool> normalized;

  /// Whether the token is found in the normalised text; unless written, when it is not special.
  bool is_normalized() const {
    return normalized.value_or(!special);
  }
};

struct ClipSpecialTokens {
  /// In the order in which they take ids; of several of one content the last counts.
  std::vector<WrittenToken> added;
  /// The ids that files give to added tokens.
  std::map<std::string, int64_t> listed_ids;
  std::string start, end, padding, unknown;
};

/// A file of the tokenizer that is not there is an empty object. Throws InputError naming file and
/// key.
ClipSpecialTokens read_clip_special_tokens(const ClipTokenizerFiles& files,
                                           const nlohmann::json& config,
                                           const nlohmann::json& tokenizer);

}  // namespace limewash::models
