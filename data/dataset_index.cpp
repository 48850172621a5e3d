#include "data/dataset_index.h"

#include <cstdio>

#include <nlohmann/json.hpp>

#include "data/hash.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace limewash::data {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFormat = "limewash-dataset";
constexpr int64_t kIndexVersion = 1;
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
  ordered_json shards = ordered_json::array(), rejections = ordered_json::array();
  for (const ShardEntry& shard : index.shards)
    shards.push_back({{"file", shard.file},
                      {"samples", shard.summary.samples},
                      {"height", shard.summary.height},
                      {"width", shard.summary.width},
                      {"bytes", shard.summary.bytes},
                      {"fingerprint", shard.summary.fingerprint}});
  for (const Rejection& rejection : index.rejections)
    rejections.push_back(
        {{"photo", rejection.photo}, {"reason", rejection.reason}, {"detail", rejection.detail}});
  return {{"format", kFormat},
          {"version", kIndexVersion},
          {"complete", index.complete},
          {"fingerprint", index.fingerprint()},
          {"samples", index.samples()},
          {"photos", index.photos},
          {"photos_done", index.photos_done},
          {"photos_hash", index.photos_hash},
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
  index.photos_hash = root.text("photos_hash");
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
                      shard.text("fingerprint")}};
    // The names are fixed, so no index can point outside its folder.
    if (entry.file != shard_file_name(index.shards.size()))
      throw InputError(file + ": shards[" + number + "] is \"" + entry.file + "\", expected \"" +
                       shard_file_name(index.shards.size()) + "\"");
    index.shards.push_back(std::move(entry));
  }
  for (const ordered_json& element : root.list("rejections")) {
    const Checked rejection(element, file + ": rejections");
    index.rejections.push_back(
        {rejection.text("photo"), rejection.text("reason"), rejection.text("detail")});
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

void write_index(const std::filesystem::path& folder, const DatasetIndex& index) {
  // A file name may hold bytes that are no UTF-8; they must not stop the job.
  const auto text = to_json(index).dump(2, ' ', false, ordered_json::error_handler_t::replace);
  write_file_atomically(folder / "index.json", text + "\n");
}

}  // namespace limewash::data
