#include "data/dataset_index.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include <nlohmann/json.hpp>

#include "data/hash.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFormat = "limewash-dataset";
constexpr int64_t kIndexVersion = 2;
constexpr int64_t kMaxCount = int64_t{1} << 40;

/// A JSON object that may be anything; every mistake names the file and the key.
class Checked {
 public:
  Checked(const ordered_json& object, std::string place)
      : object_(object), place_(std::move(place)) {
    if (!object.is_object()) throw InputError(place_ + ": expected a JSON object");
  }

  const ordered_json& at(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) throw InputError(place_ + ": has no \"" + key + "\"");
    return *found;
  }
  std::string text(const char* key) const {
    if (!at(key).is_string()) fail(key, "a text");
    return at(key).get<std::string>();
  }
  int64_t count(const char* key) const {
    const ordered_json& value = at(key);
    if (!value.is_number_integer() ||
        (value.is_number_unsigned() && value.get<uint64_t>() > kMaxCount) ||
        value.get<int64_t>() < 0 || value.get<int64_t>() > kMaxCount)
      fail(key, "a count");
    return value.get<int64_t>();
  }
  uint64_t hex(const char* key) const {
    const std::string digits = text(key);
    if (digits.size() != 16 || digits.find_first_not_of("0123456789abcdef") != std::string::npos)
      fail(key, "16 hexadecimal digits");
    return std::stoull(digits, nullptr, 16);
  }
  bool boolean(const char* key) const {
    if (!at(key).is_boolean()) fail(key, "true or false");
    return at(key).get<bool>();
  }
  const ordered_json& list(const char* key) const {
    if (!at(key).is_array()) fail(key, "a list");
    return at(key);
  }

 private:
  [[noreturn]] void fail(const char* key, const char* expected) const {
    throw InputError(place_ + ": \"" + key + "\" is not " + expected);
  }
  const ordered_json& object_;
  std::string place_;
};

ordered_json to_json(const DatasetIndex& index) {
  ordered_json shards = ordered_json::array(), rejections = ordered_json::array(),
               inputs = ordered_json::array();
  for (const PhotoList& list : index.inputs)
    inputs.push_back({{"photos", list.photos}, {"hash", list.hash}});
  for (const ShardEntry& shard : index.shards)
    shards.push_back({{"file", shard.file},
                      {"split", shard.split},
                      {"samples", shard.summary.samples},
                      {"height", shard.summary.height},
                      {"width", shard.summary.width},
                      {"bytes", shard.summary.bytes},
                      {"fingerprint", shard.summary.fingerprint},
                      {"file_hash", shard.summary.file_hash}});
  for (const Rejection& rejection : index.rejections)
    rejections.push_back({{"photo", rejection.photo},
                          {"reason", rejection.reason},
                          {"detail", rejection.detail},
                          {"id", to_hex(rejection.id)},
                          {"source", to_hex(rejection.source)}});
  return {{"format", kFormat},
          {"version", kIndexVersion},
          {"complete", index.complete},
          {"fingerprint", index.fingerprint()},
          {"samples", index.samples()},
          {"photos", index.photos},
          {"photos_done", index.photos_done},
          {"inputs", inputs},
          {"configuration", ordered_json::parse(index.configuration)},
          {"shards", shards},
          {"rejections", rejections}};
}

DatasetIndex from_json(const ordered_json& json, const std::string& file) {
  const Checked root(json, file);
  if (root.text("format") != kFormat)
    throw InputError(file + ": is no index of a limewash dataset");
  if (root.count("version") != kIndexVersion)
    throw InputError(file + ": is of format version " + std::to_string(root.count("version")) +
                     "; this program reads version " + std::to_string(kIndexVersion) +
                     ": prepare the dataset again");
  DatasetIndex index;
  index.complete = root.boolean("complete");
  index.photos = root.count("photos");
  index.photos_done = root.count("photos_done");
  for (const ordered_json& element : root.list("inputs")) {
    const Checked list(element, file + ": inputs");
    index.inputs.push_back({list.count("photos"), list.text("hash")});
  }
  if (!root.at("configuration").is_object())
    throw InputError(file + ": \"configuration\" is not an object");
  index.configuration = root.at("configuration").dump();
  for (const ordered_json& element : root.list("shards")) {
    const std::string number = std::to_string(index.shards.size());
    const Checked shard(element, file + ": shards[" + number + "]");
    ShardEntry entry{shard.text("file"),
                     {shard.count("samples"),
                      shard.count("height"),
                      shard.count("width"),
                      shard.count("bytes"),
                      shard.text("fingerprint"),
                      to_hex(shard.hex("file_hash"))},
                     shard.text("split")};
    if (std::find(std::begin(kSplits), std::end(kSplits), entry.split) == std::end(kSplits))
      throw InputError(file + ": shards[" + number + "] is of the unknown split \"" + entry.split +
                       "\"");
    // The names are fixed, so no index can point outside its folder.
    if (entry.file != shard_file_name(index.shards.size()))
      throw InputError(file + ": shards[" + number + "] is \"" + entry.file + "\", expected \"" +
                       shard_file_name(index.shards.size()) + "\"");
    index.shards.push_back(std::move(entry));
  }
  for (const ordered_json& element : root.list("rejections")) {
    const Checked rejection(element, file + ": rejections");
    index.rejections.push_back({rejection.text("photo"),
                                rejection.text("reason"),
                                rejection.text("detail"),
                                rejection.hex("id"),
                                rejection.hex("source")});
  }
  if (index.photos_done > index.photos || (index.complete && index.photos_done != index.photos) ||
      index.samples() + static_cast<int64_t>(index.rejections.size()) != index.photos_done)
    throw InputError(file + ": its counts of photos, samples and rejections contradict each other");
  if (root.text("fingerprint") != index.fingerprint())
    throw InputError(file + ": \"fingerprint\" does not fit the shards that it lists");
  return index;
}

}  // namespace

int64_t DatasetIndex::samples() const {
  int64_t samples = 0;
  for (const ShardEntry& shard : shards) samples += shard.summary.samples;
  return samples;
}

std::string DatasetIndex::fingerprint() const {
  return fingerprint_of(shards);
}

std::string fingerprint_of(const std::vector<ShardEntry>& shards) {
  Hasher hasher;
  hasher.text(kFormat);
  for (const ShardEntry& shard : shards) hasher.text(shard.summary.fingerprint);
  return hasher.hex();
}

std::string shard_file_name(size_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "shard-%05zu.h5", number);
  return name;
}

std::optional<DatasetIndex> read_index(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "index.json";
  if (!std::filesystem::exists(file)) return std::nullopt;
  ordered_json json;
  try {
    json = ordered_json::parse(read_file(file));
  } catch (const nlohmann::json::exception& error) {
    throw InputError(file.string() + ": is not JSON: " + error.what());
  }
  return from_json(json, file.string());
}

ShardReader open_shard(const std::filesystem::path& folder, const ShardEntry& entry) {
  ShardReader shard = open_listed_shard(folder / entry.file, entry.summary);
  if (shard.head().split != entry.split)
    throw InputError((folder / entry.file).string() + ": is of the split " + shard.head().split +
                     ", index.json lists it as " + entry.split);
  return shard;
}

KnownPhotos known_photos(const std::filesystem::path& folder, const DatasetIndex& index) {
  KnownPhotos known;
  for (const ShardEntry& entry : index.shards) {
    const ShardReader shard = open_shard(folder, entry);
    for (int64_t i = 0; i < shard.summary().samples; ++i)
      known.kept.emplace(shard.info(i).stable_id, shard.source(i));
  }
  for (const Rejection& rejection : index.rejections)
    known.rejected.emplace(rejection.id, rejection.source);
  return known;
}

std::string configuration_difference(const std::string& there, const std::string& now) {
  const auto left = ordered_json::parse(there), right = ordered_json::parse(now);
  std::string text;
  const auto add = [&](const std::string& key) {
    const std::string before = left.contains(key) ? left[key].dump() : "absent";
    const std::string after = right.contains(key) ? right[key].dump() : "absent";
    if (before == after) return;
    text += (text.empty() ? "prepare." : "; prepare.") + key + ": " + before + " there, " + after +
            " now";
  };
  for (const auto& item : right.items()) add(item.key());
  for (const auto& item : left.items())
    if (!right.contains(item.key())) add(item.key());
  return text;
}

std::string valid_utf8(const std::string& text) {
  const ordered_json json = text;
  return ordered_json::parse(json.dump(-1, ' ', false, ordered_json::error_handler_t::replace))
      .get<std::string>();
}

void write_index(const std::filesystem::path& folder, const DatasetIndex& index) {
  // A file name may hold bytes that are no UTF-8; they must not stop the job.
  const auto text = to_json(index).dump(2, ' ', false, ordered_json::error_handler_t::replace);
  write_file_atomically(folder / "index.json", text + "\n");
}

}  // namespace limewash::data
