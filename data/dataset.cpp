#include "data/dataset.h"

#include <algorithm>
#include <sys/resource.h>
#include <utility>
#include <vector>

#include "data/crop_scale.h"
#include "data/dataset_index.h"
#include "data/reference.h"
#include "data/room.h"
#include "data/shard.h"
#include "runtime/error.h"

namespace limewash::data {

namespace {

/// Every shard stays open: a million samples are a thousand files, more than a process may have
/// open at once unless it asks.
void allow_open_files(size_t shards) {
  constexpr rlim_t kOthers = 256;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= shards + kOthers) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// `train: 90, validation: 10`
std::string split_counts(const DatasetIndex& index) {
  std::string text;
  for (const char* split : kSplits) {
    int64_t samples = 0;
    for (const ShardEntry& entry : index.shards)
      if (entry.split == split) samples += entry.summary.samples;
    if (samples > 0)
      text += (text.empty() ? "" : ", ") + (split + (": " + std::to_string(samples)));
  }
  return text;
}

}  // namespace

std::string validation_split(const std::filesystem::path& folder) {
  const auto index = read_index(folder);
  if (!index) throw InputError(folder.string() + ": is no dataset: it has no index.json");
  bool has_test = false;
  for (const ShardEntry& entry : index->shards) {
    if (entry.split == "validation") return entry.split;
    has_test = has_test || entry.split == "test";
  }
  if (has_test)
    throw InputError(folder.string() +
                     ": has a test side, which selects nothing, but no validation side: expected "
                     "one (prepare.validation_share)");
  return "";
}

struct Dataset::Impl {
  std::filesystem::path folder;
  std::string fingerprint;
  std::vector<Bucket> buckets;
  std::vector<ShardReader> shards;
  std::vector<int64_t> ends;  ///< ends[s]: the samples of shards 0 to s together

  /// The shard that holds a sample, and the sample's place in it.
  std::pair<const ShardReader&, int64_t> locate(int64_t index) const {
    if (index < 0 || ends.empty() || index >= ends.back())
      throw InputError(folder.string() + ": has no sample " + std::to_string(index));
    const auto shard =
        static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), index) - ends.begin());
    return {shards[shard], index - (shard > 0 ? ends[shard - 1] : 0)};
  }

  void add(const ShardSummary& summary, ShardReader&& shard) {
    const auto found = std::find_if(buckets.begin(), buckets.end(), [&](const Bucket& bucket) {
      return bucket.height == summary.height && bucket.width == summary.width;
    });
    const auto place = found - buckets.begin();
    if (found == buckets.end()) buckets.push_back({summary.height, summary.width, {}});
    const int64_t begin = ends.empty() ? 0 : ends.back();
    for (int64_t i = 0; i < summary.samples; ++i)
      buckets[static_cast<size_t>(place)].samples.push_back(begin + i);
    shard.set_bucket(place);
    shards.push_back(std::move(shard));
    ends.push_back(begin + summary.samples);
  }
};

Dataset::Dataset(const std::filesystem::path& folder, const std::string& split)
    : impl_(std::make_unique<Impl>()) {
  const auto index = read_index(folder);
  if (!index)
    throw InputError(folder.string() +
                     ": is no dataset: it has no index.json (make one with 'limewash prepare')");
  if (!index->complete)
    throw InputError(folder.string() + ": prepare has not finished this dataset (" +
                     std::to_string(index->photos_done) + " of " + std::to_string(index->photos) +
                     " photos): run it again");
  if (index->shards.empty()) throw InputError(folder.string() + ": the dataset has no samples");
  impl_->folder = folder;
  allow_open_files(index->shards.size());
  std::vector<ShardEntry> entries;
  for (const ShardEntry& entry : index->shards) {
    if (!split.empty() && entry.split != split) continue;
    ShardReader shard = open_shard(folder, entry);
    impl_->add(entry.summary, std::move(shard));
    entries.push_back(entry);
  }
  if (entries.empty())
    throw InputError(folder.string() + ": has no sample of the split '" + split + "'; there are " +
                     split_counts(*index));
  impl_->fingerprint = fingerprint_of(entries);
}

Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;

int64_t Dataset::size() const {
  return impl_->ends.back();
}

int64_t Dataset::height() const {
  return impl_->buckets.front().height;
}

int64_t Dataset::width() const {
  return impl_->buckets.front().width;
}

const std::vector<Bucket>& Dataset::buckets() const {
  return impl_->buckets;
}

const SampleInfo& Dataset::info(int64_t index) const {
  const auto [shard, place] = impl_->locate(index);
  return shard.info(place);
}

Sample Dataset::read(int64_t index) const {
  const auto [shard, place] = impl_->locate(index);
  return shard.read(place).pixels;
}

Image Dataset::repainted(int64_t index, const Sample& sample, const Rgb& color) const {
  const SampleInfo& known = info(index);
  if (!known.room) return recolor(sample.image, sample.mask, known.color, color);
  const Room room(known.room->seed, known.room->id, known.room->size);
  const Image whole = room.render(color);
  const Rectangle part = centered_rectangle(whole.height, whole.width, known.height, known.width);
  return crop_and_scale(whole, part, known.height, known.width);
}

const std::string& Dataset::fingerprint() const {
  return impl_->fingerprint;
}

const std::filesystem::path& Dataset::folder() const {
  return impl_->folder;
}

}  // namespace limewash::data
