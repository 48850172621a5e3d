#include "models/clip_special_tokens.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>

#include "models/clip_text_split.h"
#include "models/strict_json.h"
#include "runtime/error.h"

namespace limewash::models {

namespace {

using nlohmann::json;

/// transformers' names, in the order in which it adds them.
constexpr const char* kNames[] = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
constexpr size_t kMaxTokenBytes = 256;
constexpr size_t kMaxTokens = 4096;

[[noreturn]] void reject(const std::string& where, const json& value, const std::string& expected) {
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  throw InputError(where + " is " + printable(text) + ": expected " + expected);
}

std::optional<bool> flag(const json& token, const char* key, const std::string& where) {
  const auto found = token.find(key);
  if (found == token.end() || found->is_null()) return std::nullopt;
  if (!found->is_boolean()) reject(where + "." + key, *found, "true or false");
  return found->get<bool>();
}

/// Where a token is written: in tokenizer_config.json, in special_tokens_map.json, whose tokens are
/// special, or in a list of tokens with ids.
enum class Place { kConfig, kMap, kList };

/// lstrip and rstrip do not change the ids: white space beside a token is dropped anyway.
WrittenToken read_token(const json& value, const std::string& where, Place place) {
  WrittenToken token;
  token.in_config = place == Place::kConfig;
  if (value.is_string()) {
    token.content = value.get<std::string>();
  } else if (value.is_object() && value.contains("content") && value["content"].is_string()) {
    token.content = value["content"].get<std::string>();
    token.plain_text = false;
    token.special = flag(value, "special", where).value_or(false) || place == Place::kMap;
    token.lstrip = flag(value, "lstrip", where).value_or(false);
    token.rstrip = flag(value, "rstrip", where).value_or(false);
    token.normalized = flag(value, "normalized", where);
    if (flag(value, "single_word", where).value_or(false)) {
      reject(where + ".single_word", true, "false (limewash finds tokens anywhere)");
    }
  } else {
    reject(where, value, "a token: text, or an object with \"content\"");
  }
  if (token.content.empty() || token.content.size() > kMaxTokenBytes ||
      has_outer_white_space(token.content)) {
    reject(where, token.content, "a token of 1 to 256 bytes without white space around it");
  }
  return token;
}

/// What transformers takes for the same token.
bool contains(const std::vector<WrittenToken>& tokens, const WrittenToken& token) {
  const auto key = [](const WrittenToken& t) {
    return std::tuple(t.plain_text,
                      t.special,
                      t.is_normalized(),
                      t.lstrip,
                      t.rstrip,
                      std::string_view(t.content));
  };
  return std::any_of(tokens.begin(), tokens.end(), [&](const WrittenToken& other) {
    return key(other) == key(token);
  });
}

class Reader {
 public:
  Reader(const ClipTokenizerFiles& files, const json& config, const json& tokenizer)
      : files_(files), config_(config), tokenizer_(tokenizer) {}

  ClipSpecialTokens read() {
    read_named(config_, Place::kConfig);
    extra_ = read_extra(config_, "extra_special_tokens", Place::kConfig);
    if (extra_.empty()) extra_ = read_extra(config_, "additional_special_tokens", Place::kConfig);
    if (config_.contains("added_tokens_decoder")) {
      read_added_tokens_decoder();
    } else {
      const json map = read_special_tokens_map();
      read_added_tokens_json();
      read_added_tokens_of_tokenizer();
      const auto has_extra = [](const json& file) { return file.contains("extra_special_tokens"); };
      if (!has_extra(map) && !has_extra(config_) &&
          !config_.contains("additional_special_tokens")) {
        extra_ = read_extra(map, "additional_special_tokens", Place::kMap);
      }
    }
    return gather();
  }

 private:
  std::string path(const std::string& file) const {
    return (files_.folder / file).string();
  }

  std::string path(Place place) const {
    return path(place == Place::kConfig ? "tokenizer_config.json" : "special_tokens_map.json");
  }

  void read_named(const json& object, Place place) {
    for (const auto& [key, value] : object.items()) {
      if (!key.ends_with("_token") || key.starts_with("add_")) continue;
      const std::string where = path(place) + ": " + printable(key);
      if (std::find(std::begin(kNames), std::end(kNames), key) == std::end(kNames)) {
        reject(where, value, "one of CLIP's tokens, such as bos_token");
      }
      if (value.is_null()) {
        const bool used =
            key == "bos_token" || key == "eos_token" || key == "unk_token" || key == "pad_token";
        if (used) reject(where, value, "a token");
        named_.erase(key);
      } else {
        named_[key] = read_token(value, where, place);
      }
    }
  }

  std::vector<WrittenToken> read_extra(const json& object, const char* key, Place place) const {
    std::vector<WrittenToken> tokens;
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) return tokens;
    const std::string where = path(place) + ": " + key;
    if (!found->is_array() || found->size() > kMaxTokens) {
      reject(where, *found, "a list of at most " + std::to_string(kMaxTokens) + " tokens");
    }
    for (const auto& value : *found) tokens.push_back(read_token(value, where, place));
    return tokens;
  }

  json read_special_tokens_map() {
    const auto found = files_.bytes.find("special_tokens_map.json");
    if (found == files_.bytes.end()) return json::object();
    json map = parse_json_object(found->second, path(Place::kMap));
    read_named(map, Place::kMap);
    for (const auto& token : read_extra(map, "extra_special_tokens", Place::kMap)) {
      if (!contains(extra_, token)) extra_.push_back(token);
    }
    return map;
  }

  /// {"token": id}
  void read_added_tokens_json() {
    const std::string file = "added_tokens.json";
    const auto found = files_.bytes.find(file);
    if (found == files_.bytes.end()) return;
    const json tokens = parse_json_object(found->second, path(file));
    for (const auto& [content, id] : tokens.items()) {
      const std::string where = path(file) + ": '" + printable(content) + "'";
      WrittenToken token = read_token(content, where, Place::kList);
      // transformers has not yet read the objects in tokenizer_config.json at this point.
      const auto is_it = [&](const WrittenToken& other) {
        return other.content == content && (other.plain_text || !other.in_config);
      };
      token.special =
          std::any_of(named_.begin(), named_.end(), [&](auto& name) { return is_it(name.second); });
      token.special |= std::any_of(extra_.begin(), extra_.end(), is_it);
      token.normalized = !token.special;
      list(token, id, where);
    }
  }

  /// [{"id": 5, "content": "token", …}]
  void read_added_tokens_of_tokenizer() {
    const auto tokens = tokenizer_.find("added_tokens");
    if (tokens == tokenizer_.end()) return;
    const std::string where = path("tokenizer.json") + ": added_tokens";
    if (!tokens->is_array()) reject(where, *tokens, "a list of tokens");
    for (const auto& value : *tokens) {
      const WrittenToken token = read_token(value, where, Place::kList);
      list(token, value.is_object() && value.contains("id") ? value["id"] : json(), where);
    }
  }

  /// {"5": {"content": "token", …}}
  void read_added_tokens_decoder() {
    const std::string where = path("tokenizer_config.json") + ": added_tokens_decoder";
    const auto& tokens = config_["added_tokens_decoder"];
    if (!tokens.is_object()) reject(where, tokens, "an object of ids and tokens");
    for (const auto& [key, value] : tokens.items()) {
      int64_t id = -1;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (error != std::errc() || end != key.data() + key.size()) {
        reject(where + ": '" + printable(key) + "'", key, "an id");
      }
      if (!value.is_object()) reject(where + "." + printable(key), value, "an object");
      list(read_token(value, where + "." + printable(key), Place::kList), id, where);
    }
  }

  /// Note a token that a file lists with its id.
  void list(const WrittenToken& token, const json& id, const std::string& where) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0) {
      reject(where + ": the id of '" + printable(token.content) + "'", id, "an integer from 0");
    }
    const auto place = id.get<int64_t>();
    const auto [other, is_new] = result_.listed_ids.emplace(token.content, place);
    if (!is_new && other->second != place) {
      throw InputError(where + ": '" + printable(token.content) + "' has the ids " +
                       std::to_string(other->second) + " and " + std::to_string(place));
    }
    const auto [known, is_new_id] = listed_.insert_or_assign(place, token);
    if (is_new && !is_new_id) {
      throw InputError(where + ": the id " + std::to_string(place) + " of '" +
                       printable(token.content) + "' is another token's");
    }
    if (listed_.size() > kMaxTokens) {
      throw InputError(where + ": expected at most " + std::to_string(kMaxTokens) + " tokens");
    }
  }

  std::string content_of(const char* name, const std::string& fallback) const {
    const auto found = named_.find(name);
    return found == named_.end() ? fallback : found->second.content;
  }

  ClipSpecialTokens gather() {
    result_.start = content_of("bos_token", "<|startoftext|>");
    result_.end = content_of("eos_token", "<|endoftext|>");
    result_.unknown = content_of("unk_token", "<|endoftext|>");
    result_.padding = content_of("pad_token", "<|endoftext|>");
    auto& added = result_.added;
    for (const auto& [id, token] : listed_) added.push_back(token);
    const size_t listed = added.size();
    const auto add = [&](const WrittenToken& token) {
      const bool is_listed = std::any_of(added.begin(), added.begin() + listed, [&](auto& other) {
        return other.content == token.content;
      });
      if (!is_listed && !contains(added, token)) added.push_back(token);
    };
    const std::map<std::string, std::string> contents = {{"bos_token", result_.start},
                                                         {"eos_token", result_.end},
                                                         {"unk_token", result_.unknown},
                                                         {"pad_token", result_.padding}};
    for (const char* name : kNames) {
      if (const auto found = named_.find(name); found != named_.end()) {
        add(found->second);
      } else if (const auto standard = contents.find(name); standard != contents.end()) {
        WrittenToken token;
        token.content = standard->second;
        add(token);
      }
    }
    for (const auto& token : extra_) add(token);
    // Only now: what has a name is special, however it was listed.
    std::set<std::string> names;
    for (const auto& [name, content] : contents) names.insert(content);
    for (const auto& [name, token] : named_) names.insert(token.content);
    for (auto& token : added) token.special |= names.contains(token.content);
    return std::move(result_);
  }

  const ClipTokenizerFiles& files_;
  const json& config_;
  const json& tokenizer_;
  std::map<std::string, WrittenToken> named_;
  std::vector<WrittenToken> extra_;
  std::map<int64_t, WrittenToken> listed_;  ///< by id
  ClipSpecialTokens result_;
};

}  // namespace

ClipSpecialTokens read_clip_special_tokens(const ClipTokenizerFiles& files,
                                           const json& config,
                                           const json& tokenizer) {
  return Reader(files, config, tokenizer).read();
}

}  // namespace limewash::models
