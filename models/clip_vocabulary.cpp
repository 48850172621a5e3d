#include "models/clip_vocabulary.h"

#include <limits>

#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

using Merge = BytePairEncoding::Merge;

/// A value as a message shows it.
std::string shown(const nlohmann::json& value) {
  return printable(value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
}

int32_t known_id(std::string_view token, const std::string& where, const Vocabulary& vocabulary) {
  const auto found = vocabulary.find(token);
  if (found != vocabulary.end()) return found->second;
  throw InputError(where + ": '" + printable(std::string(token)) +
                   "' is not in the vocabulary: expected both parts and what they make there");
}

Merge read_merge(std::string_view left,
                 std::string_view right,
                 const std::string& where,
                 const Vocabulary& vocabulary) {
  return {known_id(left, where, vocabulary),
          known_id(right, where, vocabulary),
          known_id(std::string(left) + std::string(right), where, vocabulary)};
}

/// "left right", one space.
Merge read_merge_line(std::string_view line,
                      const std::string& where,
                      const Vocabulary& vocabulary) {
  const size_t space = line.find(' ');
  if (space == line.npos || line.find(' ', space + 1) != line.npos) {
    throw InputError(where + ": expected two parts with one space between them, got '" +
                     printable(std::string(line)) + "'");
  }
  return read_merge(line.substr(0, space), line.substr(space + 1), where, vocabulary);
}

}  // namespace

Vocabulary read_vocabulary(const nlohmann::json& tokens,
                           const std::string& where,
                           int64_t vocab_size) {
  if (!tokens.is_object() || tokens.empty()) {
    throw InputError(where + ": expected an object of tokens and ids");
  }
  Vocabulary vocabulary;
  vocabulary.reserve(tokens.size());
  std::unordered_map<int32_t, const std::string*> seen;
  seen.reserve(tokens.size());
  for (const auto& [token, value] : tokens.items()) {
    if (!value.is_number_unsigned()) {
      throw InputError(where + ": the id of '" + printable(token) + "' is " + shown(value) +
                       ": expected an integer from 0");
    }
    const auto id = value.get<uint64_t>();
    if (id >= static_cast<uint64_t>(vocab_size)) {
      throw InputError(where + ": the token '" + printable(token) + "' has the id " +
                       std::to_string(id) + ", the text encoder knows ids below " +
                       std::to_string(vocab_size));
    }
    const auto [other, is_new] = seen.emplace(static_cast<int32_t>(id), &token);
    if (!is_new) {
      throw InputError(where + ": the id " + std::to_string(id) + " stands for '" +
                       printable(*other->second) + "' and for '" + printable(token) + "'");
    }
    vocabulary.emplace(token, static_cast<int32_t>(id));
  }
  return vocabulary;
}

std::vector<Merge> read_merges_text(std::string_view text,
                                    const std::filesystem::path& path,
                                    const Vocabulary& vocabulary) {
  std::vector<Merge> merges;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t length = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version")) continue;
    merges.push_back(
        read_merge_line(line, path.string() + ": line " + std::to_string(number), vocabulary));
  }
  return merges;
}

Vocabulary read_model_vocabulary(const nlohmann::json& file,
                                 const std::filesystem::path& path,
                                 int64_t vocab_size) {
  const std::string where = path.string() + ": model";
  const auto model = file.find("model");
  if (model == file.end() || !model->is_object()) throw InputError(where + ": expected an object");
  const std::pair<const char*, nlohmann::json> options[] = {{"type", "BPE"},
                                                            {"end_of_word_suffix", "</w>"},
                                                            {"continuing_subword_prefix", ""},
                                                            {"dropout", nullptr},
                                                            {"fuse_unk", false},
                                                            {"byte_fallback", false},
                                                            {"ignore_merges", false}};
  for (const auto& [key, expected] : options) {
    const auto found = model->find(key);
    if (found == model->end() || found->is_null() || *found == expected) continue;
    throw InputError(where + "." + key + " is " + shown(*found) + ": expected " + shown(expected) +
                     " (CLIP's tokenizer)");
  }
  const auto tokens = model->find("vocab");
  if (tokens == model->end()) {
    throw InputError(where + ".vocab: expected an object of tokens and ids");
  }
  return read_vocabulary(*tokens, where + ".vocab", vocab_size);
}

std::vector<Merge> read_model_merges(const nlohmann::json& file,
                                     const std::filesystem::path& path,
                                     const Vocabulary& vocabulary) {
  const std::string where = path.string() + ": model.merges";
  const auto& model = file.at("model");
  const auto list = model.find("merges");
  if (list == model.end()) return {};
  if (!list->is_array()) throw InputError(where + ": expected a list");
  std::vector<Merge> merges;
  merges.reserve(list->size());
  for (const auto& entry : *list) {
    const std::string place = where + "[" + std::to_string(merges.size()) + "]";
    if (entry.is_string()) {
      merges.push_back(read_merge_line(entry.get_ref<const std::string&>(), place, vocabulary));
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      merges.push_back(read_merge(entry[0].get_ref<const std::string&>(),
                                  entry[1].get_ref<const std::string&>(),
                                  place,
                                  vocabulary));
    } else {
      throw InputError(place + " is " + shown(entry) + ": expected two parts");
    }
  }
  return merges;
}

}  // namespace limewash::models
