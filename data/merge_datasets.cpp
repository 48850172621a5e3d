#include "data/merge_datasets.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "data/dataset_index.h"
#include "data/file_hash.h"
#include "data/hash.h"
#include "data/prepare_report.h"
#include "data/shard.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/progress.h"
#include "runtime/random.h"
#include "runtime/stop_signal.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;

struct Source {
  fs::path folder;
  std::string prefix;  ///< "" or "NAME/"
  DatasetIndex index;
};

/// `a/b/` is called b, too.
std::string name_of(const fs::path& folder) {
  const fs::path plain = fs::absolute(folder).lexically_normal();
  return (plain.has_filename() ? plain : plain.parent_path()).filename().string();
}

std::vector<Source> open_sources(const std::vector<fs::path>& folders, bool prefix_ids) {
  std::vector<Source> sources;
  for (const fs::path& folder : folders) {
    auto index = read_index(folder);
    if (!index) throw InputError(folder.string() + ": is no dataset: it has no index.json");
    if (!index->complete)
      throw InputError(folder.string() + ": prepare has not finished this dataset: run it again");
    Source source{folder, prefix_ids ? name_of(folder) + "/" : "", std::move(*index)};
    for (const Source& other : sources) {
      const auto differs =
          configuration_difference(other.index.configuration, source.index.configuration);
      if (!differs.empty())
        throw InputError(folder.string() + ": was prepared with other options than " +
                         other.folder.string() + " (" + differs + ")");
      if (prefix_ids && other.prefix == source.prefix)
        throw InputError(folder.string() + " and " + other.folder.string() +
                         ": have the same name, which --prefix would put before their ids");
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

/// The stable ids of all samples as they will be; refuses one that two datasets share.
std::unordered_set<uint64_t> distinct_ids(const std::vector<Source>& sources) {
  std::unordered_map<uint64_t, size_t> owner;
  std::unordered_set<uint64_t> ids;
  for (size_t s = 0; s < sources.size(); ++s)
    for (const ShardEntry& entry : sources[s].index.shards) {
      const ShardReader shard = open_shard(sources[s].folder, entry);
      for (int64_t i = 0; i < entry.summary.samples; ++i) {
        const std::string id = sources[s].prefix + shard.info(i).id;
        const auto [known, added] = owner.emplace(stable_id(id), s);
        if (!added)
          throw InputError(valid_utf8(id) + ": is in " + sources[known->second].folder.string() +
                           " and in " + sources[s].folder.string() +
                           "; --prefix puts the dataset's name before every id");
        ids.insert(known->first);
      }
    }
  return ids;
}

std::string identity_of(const std::vector<Source>& sources) {
  Hasher hasher;
  hasher.text("merge");
  for (const Source& source : sources) {
    hasher.text(source.prefix);
    hasher.text(source.index.fingerprint());
  }
  return "merge-" + hasher.hex();
}

/// Rejections of all datasets; a photo that another dataset kept or rejected already is left out.
std::vector<Rejection> gathered_rejections(const std::vector<Source>& sources,
                                           std::unordered_set<uint64_t> ids) {
  std::vector<Rejection> rejections;
  for (const Source& source : sources)
    for (Rejection rejection : source.index.rejections) {
      if (!source.prefix.empty()) {
        rejection.photo = valid_utf8(source.prefix) + rejection.photo;
        rejection.id = stable_id(rejection.photo);
      }
      if (ids.insert(rejection.id).second) rejections.push_back(std::move(rejection));
    }
  return rejections;
}

/// The shard's file, byte for byte.
void copy_shard(const fs::path& from, const fs::path& to) {
  uint64_t hash = 0;
  write_file_atomically(to, [&](const WriteBytes& write) { hash = hash_of_file(from, write); });
  if (hash_of_file(to) == hash) return;
  fs::remove(to);
  throw InputError(to.string() + ": reads back differently from what was written");
}

/// Its samples under other ids.
ShardSummary rename_samples(const ShardReader& shard,
                            const std::string& prefix,
                            const fs::path& to) {
  const auto configuration = nlohmann::json::parse(shard.head().configuration);
  const bool gzip = configuration.value("compression", "none") == "gzip";
  std::vector<PackedSample> samples;
  for (int64_t i = 0; i < shard.summary().samples; ++i) {
    ShardSample sample = shard.read(i);
    sample.id = prefix + sample.id;
    samples.push_back(pack(std::move(sample), shard.source(i), gzip));
  }
  return write_shard(to, shard.head(), samples);
}

ShardEntry take_over(const Source& source,
                     const ShardEntry& entry,
                     const fs::path& out,
                     size_t number) {
  ShardEntry merged = entry;
  merged.file = shard_file_name(number);
  const ShardReader shard = open_shard(source.folder, entry);
  if (source.prefix.empty()) {
    for (int64_t i = 0; i < entry.summary.samples; ++i) shard.read(i);
    copy_shard(source.folder / entry.file, out / merged.file);
  } else {
    merged.summary = rename_samples(shard, source.prefix, out / merged.file);
  }
  return merged;
}

/// The index that this merge left before, or a new one.
DatasetIndex begin_merge(const std::vector<Source>& sources, const fs::path& out, int64_t photos) {
  const PhotoList inputs{photos, identity_of(sources)};
  if (auto known = read_index(out)) {
    if (known->inputs.size() != 1 || known->inputs[0].hash != inputs.hash)
      throw InputError(out.string() + ": holds another dataset; name another folder");
    for (const ShardEntry& entry : known->shards) open_shard(out, entry);
    return *known;
  }
  for (const auto& entry : fs::directory_iterator(out)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') || name.ends_with(".tmp")) continue;
    throw InputError(out.string() + ": holds " + name +
                     ", but no index.json: it is no dataset; name an empty folder");
  }
  DatasetIndex index;
  index.configuration = sources[0].index.configuration;
  index.inputs = {inputs};
  index.photos = photos;
  write_index(out, index);
  return index;
}

}  // namespace

MergeReport merge_datasets(const std::vector<fs::path>& folders,
                           const fs::path& out,
                           bool prefix_ids) {
  if (folders.size() < 2) throw ConfigError("merge: expected at least two datasets");
  for (const fs::path& folder : folders) {
    std::error_code ignored;
    if (fs::equivalent(folder, out, ignored))
      throw ConfigError("merge: " + out.string() + " is one of the datasets; name another folder");
  }
  const std::vector<Source> sources = open_sources(folders, prefix_ids);
  const auto ids = distinct_ids(sources);
  const std::vector<Rejection> rejections = gathered_rejections(sources, ids);
  std::error_code error;
  fs::create_directories(out, error);
  if (error) throw InputError(out.string() + ": cannot be made: " + error.message());
  const FolderLock lock(out);
  DatasetIndex index =
      begin_merge(sources, out, static_cast<int64_t>(ids.size() + rejections.size()));
  MergeReport report;
  if (index.complete) spdlog::info("{}: merged before, nothing to do", out.string());

  const auto total = static_cast<int64_t>(ids.size());
  Progress progress("merge", total, "samples", true, index.samples());
  size_t number = 0;
  for (const Source& source : sources)
    for (const ShardEntry& entry : source.index.shards) {
      if (number++ < index.shards.size()) continue;
      if (stop_requested()) {
        report.stopped = true;
        break;
      }
      index.shards.push_back(take_over(source, entry, out, number - 1));
      index.photos_done = index.samples();
      write_index(out, index);
      progress.advance(entry.summary.samples);
    }
  progress.finish();
  if (!report.stopped && !index.complete) {
    index.rejections = rejections;
    index.photos_done = index.photos;
    index.complete = true;
    write_prepare_report(out, index);
    write_index(out, index);
  }
  report.samples = index.samples();
  report.shards = static_cast<int64_t>(index.shards.size());
  report.rejections = static_cast<int64_t>(index.rejections.size());
  return report;
}

}  // namespace limewash::data
