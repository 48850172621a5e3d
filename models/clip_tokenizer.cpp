#include "models/clip_tokenizer.h"

#include <algorithm>

#include <torch/torch.h>

#include "models/clip_text_split.h"
#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

constexpr size_t kMaxTextBytes = size_t{16} << 20;

/// Call `text` for what lies between the tokens that `finder` finds, and `token` for their ids.
template <class OnText, class OnToken>
void split_at_tokens(const AddedTokenFinder& finder,
                     std::string_view whole,
                     OnText&& text,
                     OnToken&& token) {
  size_t begin = 0;
  while (const auto match = finder.find(whole, begin)) {
    if (match->begin > begin) text(whole.substr(begin, match->begin - begin));
    token(match->id);
    begin = match->end;
  }
  if (begin < whole.size()) text(whole.substr(begin));
}

}  // namespace

ClipTokenizer ClipTokenizer::from_folder(const std::filesystem::path& folder,
                                         int64_t vocab_size,
                                         int64_t max_length) {
  return ClipTokenizer(ClipTokenizerFiles::read(folder), vocab_size, max_length);
}

ClipTokenizer::ClipTokenizer(const ClipTokenizerFiles& files,
                             int64_t vocab_size,
                             int64_t max_length)
    : definition_(read_clip_tokenizer(files, vocab_size)),
      max_length_(std::min(max_length, definition_.model_max_length)),
      name_(files.folder.string()),
      encoding_(definition_.vocabulary, definition_.merges, definition_.unknown) {
  TORCH_CHECK(max_length >= 2, "max_length: expected at least 2 tokens, got ", max_length);
  for (const AddedToken& token : definition_.added_tokens) {
    const bool is_new = token.normalized
                            ? normalized_tokens_.add(normalize_clip_text(token.content), token.id)
                            : raw_tokens_.add(token.content, token.id);
    if (is_new) continue;
    // transformers takes either of the two, by chance.
    throw InputError(name_ + ": two added tokens read '" + printable(token.content) +
                     "' in normalised text");
  }
  definition_.merges = {};
  definition_.vocabulary = {};
}

std::vector<int64_t> ClipTokenizer::encode(std::string_view text) const {
  if (text.size() > kMaxTextBytes) {
    throw InputError("a text of " + std::to_string(text.size()) + " bytes: expected at most " +
                     std::to_string(kMaxTextBytes));
  }
  if (const auto broken = find_broken_utf8(text)) {
    throw InputError("the text is not UTF-8 at byte " + std::to_string(*broken));
  }
  std::vector<int64_t> ids;
  split_at_tokens(
      raw_tokens_,
      text,
      [&](std::string_view raw) { append_words(raw, ids); },
      [&](int32_t id) { ids.push_back(id); });
  return ids;
}

void ClipTokenizer::append_words(std::string_view raw, std::vector<int64_t>& ids) const {
  const std::string normalized = normalize_clip_text(raw);
  split_at_tokens(
      normalized_tokens_,
      normalized,
      [&](std::string_view text) {
        for (const std::string_view word : split_clip_text(text)) encoding_.append_word(word, ids);
      },
      [&](int32_t id) { ids.push_back(id); });
}

at::Tensor ClipTokenizer::encode_batch(const std::vector<std::string>& prompts) const {
  const auto count = static_cast<int64_t>(prompts.size());
  at::Tensor batch = at::full({count, max_length_}, definition_.padding, at::kLong);
  auto rows = batch.accessor<int64_t, 2>();
  for (int64_t row = 0; row < count; ++row) {
    const auto ids = encode(prompts[row]);
    const int64_t kept = std::min<int64_t>(static_cast<int64_t>(ids.size()), max_length_ - 2);
    rows[row][0] = definition_.start;
    std::copy_n(ids.begin(), kept, &rows[row][1]);
    rows[row][kept + 1] = definition_.end;
  }
  return batch;
}

int64_t ClipTokenizer::max_length() const {
  return max_length_;
}

}  // namespace limewash::models
