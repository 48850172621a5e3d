#include "data/shard_groups.h"

#include <algorithm>
#include <utility>

namespace limewash::data {

ShardGroups::ShardGroups(int64_t shard_size, int64_t most_bytes)
    : shard_size_(shard_size), most_bytes_(most_bytes) {}

std::optional<ShardGroups::Shard> ShardGroups::add(const std::string& split,
                                                   PackedSample&& sample) {
  const Image& image = sample.sample.pixels.image;
  const auto group = groups_.try_emplace({split, image.height, image.width}).first;
  const int64_t bytes = sample.pixel_bytes();
  group->second.bytes += bytes;
  bytes_ += bytes;
  group->second.samples.push_back(std::move(sample));
  if (static_cast<int64_t>(group->second.samples.size()) >= shard_size_) return take(group);
  if (bytes_ <= most_bytes_) return std::nullopt;
  return take(std::max_element(groups_.begin(), groups_.end(), [](const auto& a, const auto& b) {
    return a.second.bytes < b.second.bytes;
  }));
}

std::optional<ShardGroups::Shard> ShardGroups::take_rest() {
  if (groups_.empty()) return std::nullopt;
  return take(groups_.begin());
}

ShardGroups::Shard ShardGroups::take(std::map<Key, Group>::iterator group) {
  Shard shard{std::get<0>(group->first), std::move(group->second.samples)};
  bytes_ -= group->second.bytes;
  groups_.erase(group);
  return shard;
}

}  // namespace limewash::data
