#pragma once
// The ids of the empty prompt, from a CLIP tokenizer's folder.

#include <cstdint>
#include <filesystem>

#include <ATen/core/Tensor.h>

namespace limewash::models {

/// [1, length] int64: start token, end token, padding. The vocabulary is vocab.json's or
/// tokenizer.json's; the special tokens are those of special_tokens_map.json or
/// tokenizer_config.json, else CLIP's own. Throws InputError naming what is missing, or an id that
/// is not below `vocab_size`.
at::Tensor read_empty_prompt_ids(const std::filesystem::path& tokenizer_folder,
                                 int64_t length,
                                 int64_t vocab_size);

}  // namespace limewash::models
