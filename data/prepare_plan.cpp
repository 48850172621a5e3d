#include "data/prepare_plan.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "runtime/error.h"
#include "runtime/random.h"

namespace limewash::data {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// A folder without an index must be as good as empty: nothing of others is mixed with or replaced.
void refuse_foreign_files(const fs::path& out) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(out, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') || name.ends_with(".tmp")) continue;
    throw InputError("prepare.out: " + out.string() + " holds " + name +
                     ", but no index.json: it is no dataset; name an empty folder");
  }
}

std::vector<uint64_t> distinct_ids(const std::vector<PhotoPair>& pairs) {
  std::vector<uint64_t> ids;
  std::unordered_map<uint64_t, size_t> places;
  for (size_t i = 0; i < pairs.size(); ++i) {
    ids.push_back(stable_id(pairs[i].id));
    if (const auto [other, added] = places.emplace(ids.back(), i); !added)
      throw InputError("prepare.images: " + pairs[i].id + " is listed twice (as " +
                       pairs[other->second].photo.string() + " and " + pairs[i].photo.string() +
                       ")");
  }
  return ids;
}

/// Photos that are samples already must be the same files as then.
void refuse_changed(const std::vector<PhotoPair>& pairs,
                    const std::vector<uint64_t>& ids,
                    const KnownPhotos& known) {
  size_t changed = 0;
  std::string first;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto sample = known.kept.find(ids[i]);
    if (sample == known.kept.end() || sample->second == source_of(pairs[i])) continue;
    if (changed++ == 0) first = pairs[i].id;
  }
  if (changed == 0) return;
  throw InputError("prepare.images: " + first +
                   (changed > 1 ? " and " + std::to_string(changed - 1) + " others" : "") +
                   " changed since the dataset was prepared (photo, mask or caption); give changed "
                   "photos new names, or prepare the dataset again");
}

/// Enter the photos that were found as new ones.
void begin_appending(PreparePlan& plan,
                     const std::vector<PhotoPair>& pairs,
                     const PhotoList& found,
                     const KnownPhotos& known) {
  refuse_changed(pairs, plan.ids, known);
  std::set<uint64_t> again;
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (known.kept.count(plan.ids[i]) > 0) continue;
    const auto rejected = known.rejected.find(plan.ids[i]);
    if (rejected != known.rejected.end() && rejected->second == source_of(pairs[i])) continue;
    if (rejected != known.rejected.end()) again.insert(plan.ids[i]);
    plan.photos.push_back(i);
  }
  if (plan.photos.empty()) return;
  DatasetIndex& index = plan.index;
  std::erase_if(index.rejections,
                [&](const Rejection& rejection) { return again.count(rejection.id) > 0; });
  index.inputs.push_back(found);
  index.complete = false;
  index.photos_done = index.samples() + static_cast<int64_t>(index.rejections.size());
  index.photos = index.photos_done + static_cast<int64_t>(plan.photos.size());
  plan.changes_index = true;
}

}  // namespace

std::string shaping_configuration(const PrepareOptions& options) {
  static const std::set<std::string> kWithoutEffect{
      "images", "masks", "second_masks", "captions", "out", "workers"};
  ordered_json object = ordered_json::object();
  for (const auto& [key, text] : config::flatten(options)) {
    if (kWithoutEffect.count(key) > 0) continue;
    const auto value = ordered_json::parse(text, nullptr, false);
    object[key] = value.is_discarded() ? ordered_json(text) : value;
  }
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

uint64_t source_of(const PhotoPair& pair) {
  return std::stoull(hash_of({pair}), nullptr, 16);
}

PreparePlan plan_anew(const std::string& configuration, const std::vector<PhotoPair>& pairs) {
  PreparePlan plan;
  plan.ids = distinct_ids(pairs);
  plan.index.configuration = configuration;
  plan.index.photos = static_cast<int64_t>(pairs.size());
  plan.index.inputs = {{plan.index.photos, hash_of(pairs)}};
  plan.changes_index = true;
  for (size_t i = 0; i < pairs.size(); ++i) plan.photos.push_back(i);
  return plan;
}

PreparePlan plan_prepare(const fs::path& out,
                         const std::string& configuration,
                         const std::vector<PhotoPair>& pairs,
                         bool append) {
  const PhotoList found{static_cast<int64_t>(pairs.size()), hash_of(pairs)};
  const auto before = read_index(out);
  if (!before) {
    refuse_foreign_files(out);
    return plan_anew(configuration, pairs);
  }
  PreparePlan plan;
  plan.ids = distinct_ids(pairs);
  const std::string differs = configuration_difference(before->configuration, configuration);
  if (!differs.empty())
    throw InputError("prepare.out: " + out.string() + " was prepared with other options (" +
                     differs + "); name another folder or remove this one");
  plan.index = *before;
  const auto& inputs = before->inputs;
  const auto is_found = [&](const PhotoList& list) { return list.hash == found.hash; };
  const bool again = before->complete ? std::any_of(inputs.begin(), inputs.end(), is_found)
                                      : !inputs.empty() && is_found(inputs.back());
  if (!again && !(append && before->complete))
    throw InputError(
        "prepare.out: " + out.string() + " was prepared from other photos or masks (" +
        std::to_string(inputs.empty() ? before->photos : inputs.back().photos) + " photos there, " +
        std::to_string(found.photos) + " now); " +
        (before->complete
             ? "--append adds the new ones; else name another folder or remove this one"
             : "finish it with those, name another folder or remove this one"));
  const KnownPhotos known = known_photos(out, *before);  // checks the shards, too
  if (before->complete) {
    if (!again) begin_appending(plan, pairs, found, known);
    return plan;
  }
  for (size_t i = 0; i < pairs.size(); ++i)
    if (known.kept.count(plan.ids[i]) == 0 && known.rejected.count(plan.ids[i]) == 0)
      plan.photos.push_back(i);
  if (before->photos - before->photos_done != static_cast<int64_t>(plan.photos.size()))
    throw InputError((out / "index.json").string() + ": counts " +
                     std::to_string(before->photos - before->photos_done) +
                     " photos that are left to do, there are " +
                     std::to_string(plan.photos.size()));
  return plan;
}

}  // namespace limewash::data
