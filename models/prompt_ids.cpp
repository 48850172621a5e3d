#include "models/prompt_ids.h"

#include <optional>
#include <string>

#include <nlohmann/json.hpp>
#include <torch/torch.h>

#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

constexpr uint64_t kMaxTokenizerBytes = uint64_t{64} << 20;

/// A special token stands as text, or as an object whose "content" is the text.
std::optional<std::string> special_token(const nlohmann::json& object, const std::string& name) {
  const auto found = object.find(name);
  if (found == object.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (found->is_object() && found->contains("content") && (*found)["content"].is_string()) {
    return (*found)["content"].get<std::string>();
  }
  return std::nullopt;
}

class TokenizerFolder {
 public:
  explicit TokenizerFolder(const std::filesystem::path& folder) : folder_(folder) {
    for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"}) {
      if (!std::filesystem::exists(folder / name)) continue;
      settings_.push_back(read_json_object(folder / name, kMaxTokenizerBytes));
    }
    if (std::filesystem::exists(folder / "vocab.json")) {
      source_ = folder / "vocab.json";
      vocabulary_ = read_json_object(source_, kMaxTokenizerBytes);
    } else if (std::filesystem::exists(folder / "tokenizer.json")) {
      source_ = folder / "tokenizer.json";
      read_fast_tokenizer(read_json_object(source_, kMaxTokenizerBytes));
    } else {
      throw InputError(folder.string() + ": no tokenizer: expected vocab.json or tokenizer.json");
    }
  }

  /// The text of `bos_token` and the like.
  std::string token(const std::string& name, const std::string& fallback) const {
    for (const auto& object : settings_) {
      if (const auto text = special_token(object, name)) return *text;
    }
    return fallback;
  }

  int64_t id(const std::string& token, int64_t vocab_size) const {
    const auto found = vocabulary_.find(token);
    if (found == vocabulary_.end() || !found->is_number_unsigned()) {
      throw InputError(source_.string() + ": no id for the token '" + printable(token) + "'");
    }
    const auto value = found->get<uint64_t>();
    if (value >= static_cast<uint64_t>(vocab_size)) {
      throw InputError(source_.string() + ": the token '" + printable(token) + "' has the id " +
                       std::to_string(value) + ", the text encoder knows ids below " +
                       std::to_string(vocab_size));
    }
    return static_cast<int64_t>(value);
  }

 private:
  void read_fast_tokenizer(const nlohmann::json& file) {
    const nlohmann::json::json_pointer vocabulary("/model/vocab");
    if (!file.contains(vocabulary) || !file.at(vocabulary).is_object()) {
      throw InputError(source_.string() + ": model.vocab: expected an object of tokens and ids");
    }
    vocabulary_ = file.at(vocabulary);
    const auto added = file.find("added_tokens");
    if (added == file.end() || !added->is_array()) return;
    for (const auto& token : *added) {
      const auto text = special_token({{"token", token}}, "token");
      if (text && token.contains("id")) vocabulary_[*text] = token["id"];
    }
  }

  std::filesystem::path folder_, source_;
  std::vector<nlohmann::json> settings_;
  nlohmann::json vocabulary_;
};

}  // namespace

at::Tensor read_empty_prompt_ids(const std::filesystem::path& tokenizer_folder,
                                 int64_t length,
                                 int64_t vocab_size) {
  const TokenizerFolder tokenizer(tokenizer_folder);
  const std::string end = tokenizer.token("eos_token", "<|endoftext|>");
  at::Tensor ids =
      at::full({1, length}, tokenizer.id(tokenizer.token("pad_token", end), vocab_size), at::kLong);
  ids[0][0] = tokenizer.id(tokenizer.token("bos_token", "<|startoftext|>"), vocab_size);
  if (length > 1) ids[0][1] = tokenizer.id(end, vocab_size);
  return ids;
}

}  // namespace limewash::models
