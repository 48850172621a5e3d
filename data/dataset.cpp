#include "data/dataset.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "data/crop_scale.h"
#include "data/dataset_index.h"
#include "data/reference.h"
#include "data/room.h"
#include "data/shard.h"
#include "runtime/error.h"

namespace limewash::data {

struct Dataset::Impl {
  std::filesystem::path folder;
  std::string fingerprint;
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
};

Dataset::Dataset(const std::filesystem::path& folder) : impl_(std::make_unique<Impl>()) {
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
  impl_->fingerprint = index->fingerprint();
  const ShardSummary& first = index->shards[0].summary;
  for (const ShardEntry& entry : index->shards) {
    if (entry.summary.height != first.height || entry.summary.width != first.width)
      throw InputError((folder / entry.file).string() + ": holds samples of another size than " +
                       index->shards[0].file);
    impl_->shards.push_back(open_listed_shard(folder / entry.file, entry.summary));
    impl_->ends.push_back((impl_->ends.empty() ? 0 : impl_->ends.back()) + entry.summary.samples);
  }
}

Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;

int64_t Dataset::size() const {
  return impl_->ends.back();
}

int64_t Dataset::height() const {
  return impl_->shards.front().summary().height;
}

int64_t Dataset::width() const {
  return impl_->shards.front().summary().width;
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
  return crop_and_scale(room.render(color), height());
}

const std::string& Dataset::fingerprint() const {
  return impl_->fingerprint;
}

const std::filesystem::path& Dataset::folder() const {
  return impl_->folder;
}

}  // namespace limewash::data
