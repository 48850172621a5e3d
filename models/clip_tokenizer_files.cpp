#include "models/clip_tokenizer_files.h"

#include <unordered_set>

#include "models/clip_special_tokens.h"
#include "models/clip_vocabulary.h"
#include "models/strict_json.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::models {

namespace {

using nlohmann::json;

/// Ten times what CLIP's own files take.
constexpr uint64_t kMaxFileBytes = uint64_t{16} << 20;

class Reader {
 public:
  Reader(const ClipTokenizerFiles& files, int64_t vocab_size)
      : files_(files), vocab_size_(vocab_size) {
    config_ = read_object("tokenizer_config.json");
    tokenizer_ = read_object("tokenizer.json");
  }

  ClipTokenizerDefinition read() {
    check_options();
    if (files_.bytes.contains("tokenizer.json")) {
      vocabulary_file_ = path("tokenizer.json");
      result_.vocabulary = read_model_vocabulary(tokenizer_, vocabulary_file_, vocab_size_);
      result_.merges = read_model_merges(tokenizer_, vocabulary_file_, result_.vocabulary);
    } else if (files_.bytes.contains("vocab.json")) {
      vocabulary_file_ = path("vocab.json");
      result_.vocabulary =
          read_vocabulary(read_object("vocab.json"), vocabulary_file_.string(), vocab_size_);
      const auto merges = files_.bytes.find("merges.txt");
      if (merges == files_.bytes.end()) {
        throw InputError(path("merges.txt").string() +
                         ": no such file: vocab.json needs it for its merges");
      }
      result_.merges = read_merges_text(merges->second, path("merges.txt"), result_.vocabulary);
    } else {
      throw InputError(files_.folder.string() +
                       ": no tokenizer: expected vocab.json or tokenizer.json");
    }
    add_special_tokens();
    return std::move(result_);
  }

 private:
  std::filesystem::path path(const std::string& file) const {
    return files_.folder / file;
  }

  json read_object(const std::string& file) const {
    const auto found = files_.bytes.find(file);
    if (found == files_.bytes.end()) return json::object();
    return parse_json_object(found->second, path(file));
  }

  [[noreturn]] void reject(const std::string& file,
                           const std::string& key,
                           const json& value,
                           const std::string& expected) const {
    const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
    throw InputError(path(file).string() + ": " + key + " is " + printable(text) + ": expected " +
                     expected);
  }

  /// Options that change the ids and that no CLIP tokenizer has.
  void check_options() {
    const std::string file = "tokenizer_config.json";
    for (const auto& [key, value] : config_.items()) {
      if (value.is_null()) continue;
      if ((key == "padding_side" || key == "truncation_side") && value != "right") {
        reject(file, key, value, "\"right\"");
      }
      if (key == "split_special_tokens" && value != false) reject(file, key, value, "false");
      if (key == "tokenizer_class" && value != "CLIPTokenizer" && value != "CLIPTokenizerFast") {
        reject(file, key, value, "\"CLIPTokenizer\"");
      }
      if ((key == "vocab" || key == "merges" || key == "fast_tokenizer_files" ||
           key == "init_inputs") &&
          !value.empty()) {
        reject(file, key, value, "none: limewash reads vocab.json or tokenizer.json");
      }
      if (key == "model_max_length") read_model_max_length(value);
    }
    for (const char* key : {"padding", "truncation"}) {
      const auto found = tokenizer_.find(key);
      if (found == tokenizer_.end() || found->is_null()) continue;
      const auto direction = found->is_object() ? found->find("direction") : found->end();
      if (direction != found->end() && *direction == "Right") continue;
      reject("tokenizer.json", key, *found, "null, or a direction of \"Right\"");
    }
  }

  /// transformers writes 1e30 for "no limit".
  void read_model_max_length(const json& value) {
    const double length = value.is_number() ? value.get<double>() : 0;
    if (!(length >= 2)) {
      reject("tokenizer_config.json", "model_max_length", value, "an integer from 2");
    }
    if (length < 1e9) result_.model_max_length = static_cast<int64_t>(length);
  }

  /// Added tokens that the vocabulary lacks take the ids behind it, in their order.
  void add_special_tokens() {
    const auto special = read_clip_special_tokens(files_, config_, tokenizer_);
    const auto unknown = result_.vocabulary.find(special.unknown);
    if (unknown != result_.vocabulary.end()) result_.unknown = unknown->second;

    std::map<std::string, size_t> places;  // in result_.added_tokens
    auto next_id = static_cast<int64_t>(result_.vocabulary.size());
    for (const WrittenToken& token : special.added) {
      const auto [place, is_new] = places.emplace(token.content, result_.added_tokens.size());
      if (is_new) {
        const auto known = result_.vocabulary.find(token.content);
        const int64_t id = known != result_.vocabulary.end() ? known->second : next_id++;
        result_.added_tokens.push_back({token.content, checked_id(token.content, id, special)});
      }
      result_.added_tokens[place->second].normalized = token.is_normalized();
    }
    check_unique_ids();
    const auto id = [&](const std::string& content) {
      return result_.added_tokens[places.at(content)].id;
    };
    result_.start = id(special.start);
    result_.end = id(special.end);
    result_.padding = id(special.padding);
  }

  int32_t checked_id(const std::string& content,
                     int64_t id,
                     const ClipSpecialTokens& special) const {
    const std::string name = "the token '" + printable(content) + "' ";
    const auto listed = special.listed_ids.find(content);
    if (listed != special.listed_ids.end() && listed->second != id) {
      throw InputError(files_.folder.string() + ": " + name + "is given the id " +
                       std::to_string(listed->second) + ", its place in the vocabulary is " +
                       std::to_string(id));
    }
    if (id >= vocab_size_) {
      throw InputError(vocabulary_file_.string() + ": " + name + "has the id " +
                       std::to_string(id) + ", the text encoder knows ids below " +
                       std::to_string(vocab_size_));
    }
    return static_cast<int32_t>(id);
  }

  /// A vocabulary with gaps may have an id behind its end.
  void check_unique_ids() const {
    std::unordered_set<int32_t> taken;
    for (const auto& [token, id] : result_.vocabulary) taken.insert(id);
    for (const auto& token : result_.added_tokens) {
      if (result_.vocabulary.contains(token.content) || taken.insert(token.id).second) continue;
      throw InputError(vocabulary_file_.string() + ": the id " + std::to_string(token.id) +
                       " of the added token '" + printable(token.content) + "' is another token's");
    }
  }

  const ClipTokenizerFiles& files_;
  const int64_t vocab_size_;
  json config_, tokenizer_;
  std::filesystem::path vocabulary_file_;
  ClipTokenizerDefinition result_;
};

}  // namespace

ClipTokenizerFiles ClipTokenizerFiles::read(const std::filesystem::path& folder) {
  ClipTokenizerFiles files{.folder = folder, .bytes = {}};
  for (const char* name : {"vocab.json",
                           "merges.txt",
                           "tokenizer.json",
                           "tokenizer_config.json",
                           "special_tokens_map.json",
                           "added_tokens.json"}) {
    if (std::filesystem::exists(folder / name)) {
      files.bytes[name] = read_file(folder / name, kMaxFileBytes);
    }
  }
  return files;
}

ClipTokenizerDefinition read_clip_tokenizer(const ClipTokenizerFiles& files, int64_t vocab_size) {
  return Reader(files, vocab_size).read();
}

}  // namespace limewash::models
